# One image for the indexer and the service.
#
#   docker build -t tusou .                           for NVIDIA GPUs (linux/amd64)
#   docker build -t tusou:cpu --build-arg EXTRA=cpu . without one
#
# Behind a package mirror add --build-arg PIP_INDEX_URL=... --build-arg UV_DEFAULT_INDEX=...;
# neither is kept in the image. To pin the base, give BASE_IMAGE with its @sha256 digest.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
ARG EXTRA=gpu
ARG PIP_INDEX_URL
ARG UV_DEFAULT_INDEX
# Modules are compiled here: at run time the root is read-only.
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    UV_COMPILE_BYTECODE=1 \
    UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /src
COPY requirements/ requirements/
RUN python3 -m venv /opt/uv \
    && /opt/uv/bin/python -m pip install --require-hashes -r requirements/installer.txt
RUN /opt/uv/bin/uv venv --python python3 /opt/tusou \
    && /opt/uv/bin/uv pip install --python /opt/tusou/bin/python --no-deps --require-hashes \
        -r requirements/${EXTRA}.txt
COPY LICENSE README.md pyproject.toml ./
COPY clients/ clients/
COPY indexer/ indexer/
COPY lab/ lab/
COPY service/ service/
COPY tusou/ tusou/
RUN /opt/uv/bin/uv pip install --python /opt/tusou/bin/python --no-deps \
        --build-constraints requirements/build.txt --require-build-hashes .
# The drawn pool that is indexed and served when no other is named.
RUN /opt/tusou/bin/tusou toy /opt/toy --items 3000 --queries 300 --seed 2024 --splits test

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="tusou" \
      org.opencontainers.image.description="Find product images with Chinese queries" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/tusou /opt/tusou
COPY --from=build /opt/toy /opt/toy
# Volumes start as copies of these two folders; all else belongs to root and stays as it is.
RUN install -d -o 10001 -g 10001 /var/lib/tusou /var/cache/tusou
# The home folder holds what is worth keeping, cn_clip's downloaded weights; the rest goes to /tmp.
# (Importing torch needs the name of its cache: the default asks for a user name, and 10001 has none.)
ENV PATH=/opt/tusou/bin:$PATH \
    HOME=/var/cache/tusou \
    HF_HOME=/var/cache/tusou/huggingface \
    CUDA_CACHE_PATH=/tmp/cuda \
    XDG_CACHE_HOME=/tmp/cache \
    TORCHINDUCTOR_CACHE_DIR=/tmp/inductor \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    TUSOU_BUNDLE=/var/lib/tusou/bundle \
    TUSOU_HOST=0.0.0.0
WORKDIR /var/lib/tusou
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s --retries=3 \
    CMD ["python", "-m", "tusou_service.healthcheck"]
ENTRYPOINT ["tusou"]
CMD ["serve"]
