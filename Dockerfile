# syntax=docker/dockerfile:1
#
# docker build -t detector .
#
# Pin the base image by its digest where you build for production:
#   docker buildx imagetools inspect python:3.11-slim-bookworm     # prints the digest
#   docker build --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:... -t detector .
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv /opt/build && python -m venv --without-pip /opt/detector
COPY requirements-build.lock requirements-runtime.lock ./
RUN /opt/build/bin/pip install --require-hashes --no-deps --only-binary=:all: -r requirements-build.lock \
 && /opt/build/bin/pip --python /opt/detector/bin/python install \
      --require-hashes --no-deps --only-binary=:all: --no-compile -r requirements-runtime.lock
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY detector detector
COPY rules rules
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation -w /dist . \
 && /opt/build/bin/pip --python /opt/detector/bin/python install --no-deps --no-compile --no-index /dist/*.whl \
 && /opt/detector/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/detector/lib

# Compile the kernels once, for every processor of a level and not only for the one that builds: x86-64-v3 is Intel's
# since 2013 and AMD's since 2015. On ARM: --build-arg NUMBA_CPU_NAME=generic.
ARG NUMBA_CPU_NAME=x86-64-v3
ENV NUMBA_CPU_NAME=${NUMBA_CPU_NAME} NUMBA_CPU_FEATURES="" NUMBA_CACHE_DIR=/opt/detector/kernels
RUN /opt/detector/bin/detector warm && chmod -R a+rX /opt/detector
COPY --chmod=755 deploy/docker-entrypoint.sh /opt/detector/bin/docker-entrypoint

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="detector" \
      org.opencontainers.image.description="Finds attacks and failures in the logs of a Kafka cluster, in near real time, with Sigma rules." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/detector /opt/detector
RUN groupadd --gid 10001 detector \
 && useradd --uid 10001 --gid 10001 --create-home --home-dir /home/detector --shell /usr/sbin/nologin detector

# Everything that is written goes to /tmp (Ray's session files, compiled kernels), /home/detector (Ray's token) and
# /dev/shm (Ray's object store): with a volume on each of them the root file system can be read-only.
# USER is for Ray, which asks for its name, where the pod runs under a UID that has none.
ARG NUMBA_CPU_NAME=x86-64-v3
ENV PATH=/opt/detector/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/home/detector \
    USER=detector \
    NUMBA_CPU_NAME=${NUMBA_CPU_NAME} \
    NUMBA_CPU_FEATURES="" \
    NUMBA_CACHE_DIR=/tmp/kernels
WORKDIR /home/detector
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["docker-entrypoint"]
CMD ["run", "--config", "/etc/detector/detector.yaml"]
