"""The paper's optimizer (§3.5): SGD 1e-3, momentum 0.9, weight decay 1e-4, gradient norm clipped at 5.0, one drop of ×0.1."""

epochs = 42
drop_after = 38

optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=1e-3, momentum=0.9, weight_decay=1e-4),
    clip_grad=dict(max_norm=5.0, norm_type=2),
)
param_scheduler = [dict(type="MultiStepLR", by_epoch=True, begin=0, end=epochs, milestones=[drop_after], gamma=0.1)]
train_cfg = dict(type="ResumableTrainLoop", max_epochs=epochs, val_interval=1)
auto_scale_lr = dict(enable=False, base_batch_size=2)
