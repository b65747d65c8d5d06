"""The check of `weights.check_transfer`, made whenever a run loads a checkpoint."""

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from tio2.models.weights import check_transfer


@HOOKS.register_module()
class TransferCheckHook(Hook):
    """Stops a run whose checkpoint fits neither the whole model nor all but the layers that must differ from COCO's."""

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Compare names and shapes before mmengine, which only warns, copies what fits."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        check_transfer(model.state_dict(), checkpoint.get("state_dict", checkpoint), str(runner._load_from))
