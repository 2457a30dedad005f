# The main job in a container.
#   docker build -t iclab .
#   docker build -t iclab --build-arg TORCH=URL .     URL: PyTorch's index of builds for the CPU alone, or for a CUDA
#   mkdir -p out && docker run --user "$(id -u):$(id -g)" -v "$PWD/out:/out" iclab           --gpus all with CUDA
FROM python:3.12-slim
ARG TORCH=
RUN useradd --create-home iclab && mkdir /out && chown iclab /out
WORKDIR /iclab
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir -c constraints.txt ${TORCH:+--extra-index-url "$TORCH"} '.[train]'
# Any user may run it: a folder that is mounted belongs to whoever made it. Caches of libraries go where all may write.
ENV HOME=/tmp
USER iclab
WORKDIR /out
VOLUME /out
ENTRYPOINT ["iclab"]
CMD ["reproduce", "--directory", "/out/reproduction"]
