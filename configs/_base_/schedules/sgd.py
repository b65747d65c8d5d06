"""The paper's optimizer (§3.5): SGD 1e-3, momentum 0.9, weight decay 1e-4, gradient norm clipped at 5.0, one drop of ×0.1."""

epochs = 42
drop_after = 38

optim_wrapper = dict(
    type="LossScalingOptimWrapper",  # differs from OptimWrapper only for models in float16
    optimizer=dict(type="SGD", lr=1e-3, momentum=0.9, weight_decay=1e-4),
    clip_grad=dict(max_norm=5.0, norm_type=2),
)
param_scheduler = [dict(type="MultiStepLR", by_epoch=True, begin=0, end=epochs, milestones=[drop_after], gamma=0.1)]
train_cfg = dict(type="ResumableTrainLoop", max_epochs=epochs, val_interval=1)
auto_scale_lr = dict(enable=False, base_batch_size=2)

# for a child's own schedule: param_scheduler = [dict(_base_.warm_up, end=steps), dict(_base_.cosine, end=epochs)]
warm_up = dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0)
cosine = dict(type="CosineAnnealingLR", by_epoch=True, begin=0, eta_min=0.0, convert_to_iter_based=True)
