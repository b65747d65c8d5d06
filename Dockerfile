# tio2 with a GPU. NOT BUILT BY THE MAINTAINERS: where this project is developed no images can be built and no CUDA
# compiler is at hand. Take it as the recipe that it is, and tell us what had to be changed.
#
#   docker build -t tio2 .
#   docker run --gpus all --ipc=host -v "$PWD/data:/tio2/data" -v "$PWD/work_dirs:/tio2/work_dirs" tio2 \
#     python tools/train.py configs/tio2/mask_rcnn_stage1.py --amp
#
# CUDA's version must be that of the torch in requirements.txt (`python -c "import torch; print(torch.version.cuda)"`),
# since mmcv's operators are compiled against both; "devel", since that needs nvcc.
ARG CUDA=13.0.2
FROM nvidia/cuda:${CUDA}-devel-ubuntu24.04

ENV DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-dev python3-venv build-essential git libgl1 libglib2.0-0 \
 && rm -rf /var/lib/apt/lists/*

RUN python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /tio2
COPY requirements.txt ./

# No GPU is visible while an image is built: FORCE_CUDA and the list of architectures say what to compile for
# (8.0 A100, 8.6 RTX 30, 8.9 RTX 40 and L4, 9.0 H100).
ARG TORCH_CUDA_ARCH_LIST="8.0;8.6;8.9;9.0"
ENV FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST=${TORCH_CUDA_ARCH_LIST}
RUN pip install $(grep -E '^(setuptools|wheel|ninja|psutil|packaging)==' requirements.txt)
RUN pip install $(grep -E '^torch==' requirements.txt)
RUN pip install --no-build-isolation -r requirements.txt \
 && python -c "import mmcv._ext"

COPY . .
RUN pip install --no-deps --no-build-isolation -e .
CMD ["python", "tools/train.py", "--help"]
