# Two images, both without a compiler and run by an ordinary user:
#
#     docker build --tag splade-lucene .                                  # everything: demo, encode, train, search
#     docker build --target search --tag splade-lucene-search .           # index and search, without PyTorch
#     docker run --rm splade-lucene demo
#     docker run --rm --volume "$PWD:/work" splade-lucene search --index index --query "blood circulation"
#
# PyTorch is the build for CPUs. For NVIDIA GPUs: --build-arg TORCH_INDEX=https://pypi.org/simple

ARG PYTHON=3.12

# ---- what needs a compiler on some platforms is installed here ----

FROM python:${PYTHON} AS build-search
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY requirements-search.txt requirements-search-alone.txt constraints.txt ./
RUN pip install --requirement requirements-search.txt && pip install --no-deps --requirement requirements-search-alone.txt
COPY LICENSE README.md pyproject.toml setup.cfg ./
COPY splade_lucene splade_lucene
RUN pip install --no-deps .

FROM build-search AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --constraint constraints.txt --extra-index-url "$TORCH_INDEX" ".[onnx,plots,train]"

# ---- the images ----

FROM python:${PYTHON}-slim AS run
RUN useradd --create-home --uid 1000 splade && install --directory --owner splade /work
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /work
USER 1000
ENTRYPOINT ["splade-lucene"]

FROM run AS search
COPY --from=build-search /opt/venv /opt/venv
CMD ["--help"]

FROM run AS whole
COPY --from=build /opt/venv /opt/venv
CMD ["demo"]
