"""Common settings of every run: scope, registered rooms, logging, checkpoints, seed."""

default_scope = "mmdet"
custom_imports = dict(
    imports=["tio2.datasets", "tio2.models", "tio2.evaluation", "tio2.engine"], allow_failed_imports=False
)

default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=10),
    param_scheduler=dict(type="ParamSchedulerHook"),
    # each is written whole or not at all; the older of two is deleted once the next is on disk
    checkpoint=dict(type="WholeCheckpointHook", interval=1, max_keep_ckpts=2),
    sampler_seed=dict(type="DistSamplerSeedHook"),
)
custom_hooks = [
    dict(type="StepSeedHook"),
    dict(type="LossGuardHook"),
    dict(type="RunRecordHook"),
    dict(type="ProgressBarHook"),
    dict(type="TransferCheckHook"),
    dict(type="StopOnSignalHook"),
]

env_cfg = dict(
    cudnn_benchmark=False, mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0), dist_cfg=dict(backend="nccl")
)
vis_backends = [dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")]
visualizer = dict(type="DenseDetVisualizer", vis_backends=vis_backends)
log_processor = dict(type="LogProcessor", window_size=20, by_epoch=True)
log_level = "INFO"

randomness = dict(seed=0)
load_from = None
resume = False
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
