"""Threads of NumPy's linear algebra: one in a service, and FAISS keeps its own."""

import subprocess
import sys

PROGRAM = """
import faiss, numpy
from threadpoolctl import ThreadpoolController
from tusou_service.blas_tuning import use_one_blas_thread

for library in ThreadpoolController().lib_controllers:
    library.set_num_threads(2)
use_one_blas_thread()
print(*sorted((name, library.num_threads) for library in ThreadpoolController().lib_controllers
    for name in ("numpy", "faiss") if library.user_api == "blas" and name in library.filepath))
"""


def test_numpy_has_one_thread_and_faiss_keeps_its_own() -> None:
    # In a process of its own: the limit holds for all tests otherwise.
    command = [sys.executable, "-c", PROGRAM]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "('numpy', 1)" in shown
    assert "('numpy', 2)" not in shown
    if "faiss" in shown:
        assert "('faiss', 2)" in shown
