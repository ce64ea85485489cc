FROM python:3.11-slim-bookworm
# Compiler-free; EGL is for MuJoCo's off-screen rendering, git for the commit noted beside results.
RUN apt-get update \
    && apt-get install --no-install-recommends -y make git libegl1 libopengl0 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /ibc
COPY . .
RUN make test
CMD ["make", "train"]
