"""The server of these tests answers the client of huggingface.co as the hub does."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from hub_server import HubServer

from .conftest import COMMIT, FOLDER, ID, TENSORS

_CLIENT = """
import json, sys
from huggingface_hub import HfApi, hf_hub_download
endpoint, model, folder = sys.argv[1:]
info = HfApi(endpoint=endpoint, token=False).model_info(model, revision="main", files_metadata=True)
files = [
    (each.rfilename, each.size, each.blob_id, each.lfs and each.lfs.sha256)
    for each in info.siblings
]
paths = [
    hf_hub_download(model, name, endpoint=endpoint, token=False, cache_dir=folder)
    for name in ("vocab.txt", "pytorch_model.bin")
]
print(json.dumps([info.sha, files, paths]))
"""


def test_the_hubs_own_client_reads_lists_and_files(hub: HubServer, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _CLIENT, hub.url, ID, str(tmp_path)]
    environment = {"HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1", "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr.decode()
    sha, files, (vocabulary, tensors) = json.loads(done.stdout)
    assert sha == COMMIT
    assert Path(vocabulary).read_bytes() == FOLDER["vocab.txt"]
    assert Path(tensors).read_bytes() == TENSORS
    assert f"/{COMMIT}/" in tensors  # as the headers of the file say
    sizes = {name: (size, lfs) for name, size, _, lfs in files}
    assert sizes["pytorch_model.bin"] == (len(TENSORS), hashlib.sha256(TENSORS).hexdigest())
    assert sizes["vocab.txt"] == (len(FOLDER["vocab.txt"]), None)
