#!/bin/sh
# numba uses no cache that it cannot write to, so the kernels that the image brings go where it can.
set -eu
mkdir -p "$NUMBA_CACHE_DIR"
cp -R /opt/detector/kernels/. "$NUMBA_CACHE_DIR"
exec detector "$@"
