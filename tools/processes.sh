# Start a program of tools/ in several processes, for dist_*.sh and slurm_*.sh. BACKEND=gloo requests no GPU.
PYTHON=${PYTHON:-python} folder=$(dirname "$0") gres=()
if [ "${BACKEND:-}" = gloo ]; then export CUDA_VISIBLE_DEVICES=-1; fi

with_torchrun() {  # PROCESSES PROGRAM ARGUMENTS
    exec "$PYTHON" -m torch.distributed.run \
        --nnodes="${NNODES:-1}" \
        --node_rank="${NODE_RANK:-0}" \
        --master_addr="${MASTER_ADDR:-127.0.0.1}" \
        --master_port="${PORT:-29500}" \
        --nproc_per_node="$1" \
        "$folder/$2" "${@:3}"
}

with_slurm() {  # PARTITION JOB_NAME PROGRAM ARGUMENTS
    GPUS=${GPUS:-8}
    GPUS_PER_NODE=${GPUS_PER_NODE:-$((GPUS < 8 ? GPUS : 8))}
    [ "${BACKEND:-}" = gloo ] || gres=(--gres="gpu:$GPUS_PER_NODE")
    # shellcheck disable=SC2086 # SRUN_ARGS holds several words
    exec srun -p "$1" \
        --job-name="$2" \
        ${gres[@]+"${gres[@]}"} \
        --ntasks="$GPUS" \
        --ntasks-per-node="$GPUS_PER_NODE" \
        --cpus-per-task="${CPUS_PER_TASK:-5}" \
        --kill-on-bad-exit=1 \
        ${SRUN_ARGS:-} \
        "$PYTHON" -u "$folder/$3" "${@:4}"
}
