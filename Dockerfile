# The images of Tusou, one target each.
#
#   docker build -t tusou-service .                  the service: `tusou serve` (the default target)
#   docker build -t tusou-indexer --target indexer . building bundles: `tusou index`
#   docker build -t tusou-lab --target lab .         charts, reports, training: every command
#
# They are for NVIDIA GPUs (linux/amd64). Without one: --build-arg EXTRA=cpu, and --build-arg TORCH=cpu
# for PyTorch without CUDA, where PyTorch's own index can be reached (requirements/README.md).
#
# Behind a package mirror add --build-arg PIP_INDEX_URL=... --build-arg UV_DEFAULT_INDEX=...;
# neither is kept in the image. Label it with --build-arg REVISION=$(git rev-parse HEAD). To pin the
# base, give it with its digest (docs/operations.md):
# --build-arg BASE_IMAGE=python:3.11-slim-bookworm@sha256:...
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
ARG EXTRA=gpu
ARG TORCH=locked
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
RUN /opt/uv/bin/uv venv --python python3 /opt/audit \
    && /opt/uv/bin/uv pip sync --python /opt/audit/bin/python --require-hashes requirements/audit.txt
RUN /opt/uv/bin/uv venv --python python3 /opt/tusou \
    && sh requirements/install.sh /opt/uv/bin/uv /opt/tusou/bin/python requirements/${EXTRA}.txt ${TORCH}
COPY LICENSE NOTICE pyproject.toml ./
COPY docs/package.md docs/
COPY clients/ clients/
COPY indexer/ indexer/
COPY lab/ lab/
COPY service/ service/
COPY tusou/ tusou/
RUN /opt/uv/bin/uv pip install --python /opt/tusou/bin/python --no-deps \
        --build-constraints requirements/build.txt --require-build-hashes .
# The drawn pool that is indexed and served when no other is named.
RUN /opt/tusou/bin/tusou toy /opt/toy --items 3000 --queries 300 --seed 2024 --splits test

# Each target holds a list of its packages in CycloneDX format.
FROM build AS build-indexer
RUN /opt/uv/bin/uv pip install --python /opt/tusou/bin/python --no-deps --require-hashes \
        -r requirements/s3.txt
RUN /opt/audit/bin/cyclonedx-py environment /opt/tusou/bin/python --output-reproducible --output-file /opt/sbom.json

FROM build AS build-service
RUN /opt/uv/bin/uv pip install --python /opt/tusou/bin/python --no-deps --require-hashes \
        -r requirements/otel.txt -r requirements/s3.txt
RUN /opt/audit/bin/cyclonedx-py environment /opt/tusou/bin/python --output-reproducible --output-file /opt/sbom.json

FROM build AS build-lab
RUN /opt/uv/bin/uv pip install --python /opt/tusou/bin/python --no-deps --require-hashes \
        -r requirements/lab.txt
RUN /opt/audit/bin/cyclonedx-py environment /opt/tusou/bin/python --output-reproducible --output-file /opt/sbom.json

FROM ${BASE_IMAGE} AS runtime
ARG BASE_IMAGE
ARG VERSION=0.1.0
LABEL org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}" \
      org.opencontainers.image.licenses="Apache-2.0"
# NOTICE has the licence terms of the other installed software.
COPY LICENSE NOTICE /usr/share/doc/tusou/
# The demo's images, which the service reads from their pool.
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
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1
WORKDIR /var/lib/tusou
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["tusou"]

FROM runtime AS lab
COPY --from=build-lab /opt/tusou /opt/tusou
COPY --from=build-lab /opt/sbom.json /usr/share/doc/tusou/sbom.json
CMD ["--help"]
ARG REVISION=unknown
LABEL org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.title="tusou-lab" \
      org.opencontainers.image.description="Every command of Tusou, with charts, reports and training"

FROM runtime AS indexer
COPY --from=build-indexer /opt/tusou /opt/tusou
COPY --from=build-indexer /opt/sbom.json /usr/share/doc/tusou/sbom.json
CMD ["index", "--help"]
ARG REVISION=unknown
LABEL org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.title="tusou-indexer" \
      org.opencontainers.image.description="Index product images for search with Chinese queries"

FROM runtime AS service
COPY --from=build-service /opt/tusou /opt/tusou
COPY --from=build-service /opt/sbom.json /usr/share/doc/tusou/sbom.json
ENV TUSOU_BUNDLE=/var/lib/tusou/bundle \
    TUSOU_HOST=0.0.0.0
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s --retries=3 \
    CMD ["python", "-m", "tusou_service.healthcheck"]
CMD ["serve"]
ARG REVISION=unknown
LABEL org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.title="tusou-service" \
      org.opencontainers.image.description="Find product images with Chinese queries"
