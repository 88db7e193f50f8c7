"""A real server process of moto, which speaks S3 on a port of this machine."""

import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from re import search
from typing import Any

BUCKET = "shop"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "tester",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-central-1",
}


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """A running store with one empty bucket."""

    endpoint: str
    process: "subprocess.Popen[str]"

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the variables with which the AWS tools reach the store."""
        return {**CREDENTIALS, "AWS_ENDPOINT_URL": self.endpoint}

    def client(self) -> Any:
        """Return a client of Amazon's own library, which is not the one under test."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
        )

    def names(self, prefix: str) -> set[str]:
        """Return the names of all objects under a prefix, without the prefix."""
        listed = self.client().list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/")
        return {each["Key"].removeprefix(f"{prefix}/") for each in listed.get("Contents", ())}

    def put(self, name: str, data: bytes) -> None:
        self.client().put_object(Bucket=BUCKET, Key=name, Body=data)


@contextmanager
def running_store(port: int = 0) -> Iterator[ObjectStore]:
    """Start a store, with a bucket, on a free port; end it after the block."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stderr
        try:
            for line in process.stderr:
                if found := search(r"http://127\.0\.0\.1:\d+", line):
                    break
            # Its log is not read, and a full pipe would stop it.
            threading.Thread(target=deque, args=(process.stderr, 0), daemon=True).start()
            store = ObjectStore(found[0] if found else "", process)
            region = CREDENTIALS["AWS_DEFAULT_REGION"]
            store.client().create_bucket(
                Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": region}
            )
            yield store
        finally:
            process.kill()
