"""The heads in a whole model give upstream's masks (largest piece) as RLE at 0 to 3000 instances, and state limits."""

import copy
import logging

import numpy as np
import pytest
import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

from semsize.detecting.pasting import solid_masks
from tio2.models.heads import by_area, warn_if_reached
from tio2.models.mask_head import DenseFCNMaskHead, paste_masks

META = {"ori_shape": (150, 210), "scale_factor": (2.0, 3.0)}


@pytest.fixture
def warnings_of_the_log(caplog):
    """Texts of the warnings logged so far; mmengine's logger hands its records on to no other."""
    from mmengine.logging import MMLogger

    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield lambda: [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    logger.removeHandler(caplog.handler)


def detections(count, classes=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(count, 2, generator=generator) * torch.tensor([380.0, 400.0])
    results = InstanceData(
        bboxes=torch.cat([low, low + 10 + torch.rand(count, 2, generator=generator) * 40], dim=1),
        scores=torch.rand(count, generator=generator),
        labels=torch.randint(0, classes, (count,), generator=generator),
    )
    coarse = torch.randn(count, classes, 4, 4, generator=generator) * 4
    logits = torch.nn.functional.interpolate(coarse, size=(28, 28), mode="bilinear") if count else coarse
    return logits, results


def heads(**arguments):
    arguments = {"num_convs": 0, "in_channels": 8, "conv_out_channels": 8, **arguments}
    return FCNMaskHead(**arguments), DenseFCNMaskHead(**arguments)


@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize(("classes", "class_agnostic"), [(1, False), (3, False), (3, True)])
def test_masks_and_boxes_are_upstream_s(rescale, classes, class_agnostic):
    config = ConfigDict(mask_thr_binary=0.5)
    stock, dense = heads(num_classes=classes, class_agnostic=class_agnostic)
    logits, expected = detections(40, classes)
    if class_agnostic:
        logits = logits[:, :1]
    found = copy.deepcopy(expected)  # boxes are changed in place
    (expected,) = stock.predict_by_feat((logits,), [expected], [META], config, rescale=rescale)
    (found,) = dense.predict_by_feat((logits,), [found], [META], config, rescale=rescale)
    assert torch.equal(found.bboxes, expected.bboxes)
    assert np.array_equal(coco_mask.decode(found.masks).transpose(2, 0, 1), solid_masks(expected.masks.numpy()))
    assert found.masks[0]["size"] == ([150, 210] if rescale else [450, 420])


@pytest.mark.parametrize("count", [0, 1, 513, 3000])
def test_a_list_of_rle_at_any_number_of_instances(count):
    _, dense = heads(num_classes=1)
    logits, results = detections(count)
    (found,) = dense.predict_by_feat((logits,), [results], [META], ConfigDict(mask_thr_binary=0.5), rescale=True)
    assert isinstance(found.masks, list)
    assert len(found) == len(found.masks) == count
    assert all(isinstance(rle["counts"], str) and rle["size"] == [150, 210] for rle in found.masks)
    kept = found[found.scores > 0.5]
    assert len(kept.masks) == int((found.scores > 0.5).sum())


def test_scores_times_the_masks_own_probability():
    """Each score falls by its mask's mean probability; what falls below the threshold is gone, others best first."""
    _, dense = heads(num_classes=1)
    logits, results = detections(30)
    config = ConfigDict(mask_thr_binary=0.5, score_thr=0.0)
    (plain,) = dense.predict_by_feat((logits,), [copy.deepcopy(results)], [META], config, rescale=True)
    masks, certainties = paste_masks(logits[:, 0], plain.bboxes, (150, 210), 0.5)
    assert masks.to_rles() == plain.masks
    expected = (plain.scores.numpy() * certainties).tolist()
    order = sorted(range(30), key=lambda number: -expected[number])
    config = ConfigDict({**config, "mask_scores": True, "score_thr": 0.2})
    (found,) = dense.predict_by_feat((logits,), [results], [META], config, rescale=True)
    kept = [number for number in order if expected[number] >= 0.2]
    assert 0 < len(kept) < 30
    assert found.scores.tolist() == pytest.approx([expected[number] for number in kept], rel=1e-5)
    assert found.masks == [plain.masks[number] for number in kept]
    assert torch.equal(found.bboxes, plain.bboxes[kept])


def test_probabilities_instead_of_logits():
    _, dense = heads(num_classes=1)
    logits, results = detections(10)
    again = copy.deepcopy(results)
    config = ConfigDict(mask_thr_binary=0.5)
    (expected,) = dense.predict_by_feat((logits,), [results], [META], config)
    (found,) = dense.predict_by_feat((logits.sigmoid(),), [again], [META], config, activate_map=True)
    assert found.masks == expected.masks


def test_without_a_scale_factor_nothing_was_resized():
    _, dense = heads(num_classes=1)
    logits, results = detections(3)
    boxes = results.bboxes.clone()
    config = ConfigDict(mask_thr_binary=0.5)
    (found,) = dense.predict_by_feat((logits,), [results], [{"ori_shape": (500, 450)}], config, rescale=True)
    assert torch.equal(found.bboxes, boxes)


def predict(model, batch):
    torch.manual_seed(0)
    model.roi_head.mask_head.init_weights()  # its masks are neither full nor empty
    return predict_again(model.eval(), batch)


def predict_again(model, batch):
    with torch.no_grad():
        return [sample.pred_instances for sample in model.test_step(copy.deepcopy(batch))]


def use_upstream_s_heads(config):
    config.rpn_head.type = "RPNHead"
    config.roi_head.type = "StandardRoIHead"


def score_everything(config):
    config.test_cfg.rcnn.score_thr = 0.0
    config.test_cfg.rcnn.nms.iou_threshold = 0.9


def test_the_model_finds_what_upstream_s_finds(build_model, batch):
    def stock(config):
        score_everything(config)
        use_upstream_s_heads(config)

    for found, expected in zip(
        predict(build_model(score_everything), batch), predict(build_model(stock), batch), strict=True
    ):
        assert len(found) > 5
        assert torch.equal(found.bboxes, expected.bboxes)
        assert found.masks == expected.masks
        areas = coco_mask.area(found.masks)
        assert np.count_nonzero(areas) > 5
        assert len(set(areas.tolist())) > 5
        assert found.masks[0]["size"] == [96, 128]
        assert float(found.bboxes[:, 2].max()) <= 128


def test_the_model_s_masks_do_not_depend_on_the_batches_of_rois(build_model, batch, monkeypatch):
    together = predict(build_model(score_everything), batch)
    monkeypatch.setattr("tio2.models.heads.MASK_ROIS_PER_CPU_BATCH", 1)
    single = predict(build_model(score_everything), batch)
    for first, second in zip(together, single, strict=True):
        same = [one == other for one, other in zip(first.masks, second.masks, strict=True)]
        assert len(same) == 30
        assert np.mean(same) > 0.95  # sums in another order may move a pixel across the threshold


def test_the_model_s_boxes_do_not_depend_on_the_batches_of_rois(build_model, batch, monkeypatch):
    together = predict(build_model(score_everything), batch)
    monkeypatch.setattr("tio2.models.heads.BOX_ROIS_PER_CPU_BATCH", 7)
    parts = predict(build_model(score_everything), batch)
    for first, second in zip(together, parts, strict=True):
        assert len(first) > 7
        torch.testing.assert_close(first.bboxes, second.bboxes)
        torch.testing.assert_close(first.scores, second.scores)


@pytest.mark.parametrize("refined", [False, True])
def test_masks_are_a_list_where_no_image_has_a_detection(build_model, batch, refined):
    def score_nothing(config):
        config.test_cfg.rcnn.update(score_thr=1.1, refine_boxes=refined)

    for found in predict(build_model(score_nothing), batch):
        assert found.masks == []
        assert found.bboxes.shape == (0, 4)


def refined_with(build_model, batch, correction):
    """Boxes of each image without and with refinement, by a box branch that moves every box by `correction` widths."""
    model = build_model(score_everything)
    torch.nn.init.zeros_(model.roi_head.bbox_head.fc_reg.weight)
    model.roi_head.bbox_head.fc_reg.bias.data.copy_(torch.tensor([correction / 0.1, 0, 0, 0]))  # its target_stds
    plain = predict(model, batch)
    model.roi_head.test_cfg.refine_boxes = True
    return plain, predict_again(model, batch)


def test_a_box_branch_that_is_content_leaves_boxes_and_masks_as_they_are(build_model, batch):
    for plain, refined in zip(*refined_with(build_model, batch, 0.0), strict=True):
        assert len(plain) > 5
        torch.testing.assert_close(refined.bboxes, plain.bboxes)
        assert refined.masks == plain.masks


def test_boxes_are_corrected_once_more_within_the_frame_and_masks_drawn_there(build_model, batch):
    for plain, refined in zip(*refined_with(build_model, batch, 0.25), strict=True):
        moved = plain.bboxes.clone()
        moved[:, ::2] += 0.25 * (plain.bboxes[:, 2:3] - plain.bboxes[:, :1])
        torch.testing.assert_close(refined.bboxes, moved.clamp(max=128))  # the frame is 128 px wide
        assert torch.equal(refined.scores, plain.scores)
        assert refined.masks != plain.masks


def test_a_correction_for_each_class_is_refused(build_model, batch):
    def two_classes(config):
        score_everything(config)
        config.roi_head.bbox_head.num_classes = config.roi_head.mask_head.num_classes = 2
        config.test_cfg.rcnn.refine_boxes = True

    with pytest.raises(ValueError, match="refine_boxes is for one class"):
        predict(build_model(two_classes), batch)


def test_reached_limits_are_said_with_the_image_s_name(build_model, batch, warnings_of_the_log):
    def low_limits(config):
        score_everything(config)
        config.test_cfg.rpn.max_per_img = 12
        config.test_cfg.rcnn.max_per_img = 5

    predict(build_model(low_limits), batch)
    said = warnings_of_the_log()
    for name in ("somewhere/0.png", "somewhere/1.png"):
        assert any(name in text and "12 boxes" in text and "rpn.max_per_img" in text for text in said)
        assert any(name in text and "5 boxes" in text and "rcnn.max_per_img" in text for text in said)


def test_limits_that_are_not_reached_are_not_said(build_model, batch, warnings_of_the_log):
    def high_limits(config):
        config.test_cfg.rpn.max_per_img = 4000
        config.test_cfg.rcnn.max_per_img = 3000

    predict(build_model(high_limits), batch)
    warn_if_reached(7, 8, "rcnn.max_per_img", {})
    warn_if_reached(7, 0, "rcnn.max_per_img", {})
    assert warnings_of_the_log() == []


def test_background_that_fills_the_proposals_is_not_said(build_model, batch, warnings_of_the_log):
    def low_limit(config):
        config.test_cfg.rpn.max_per_img = 12

    model = build_model(low_limit)
    torch.nn.init.constant_(model.rpn_head.rpn_cls.bias, -10.0)  # an objectness of 5e-5 everywhere
    predict(model, batch)
    assert not any("rpn.max_per_img" in text for text in warnings_of_the_log())


def test_limits_go_with_the_area_of_the_network_s_input():
    limits = ConfigDict(nms_pre=100, max_per_img=40, min_score=0.05)
    assert by_area(limits, {"img_shape": (192, 256)}) == limits, "those of a megapixel at least"
    assert by_area(limits, {"img_shape": (2000, 3000)}) == ConfigDict(nms_pre=600, max_per_img=240, min_score=0.05)


def test_what_is_hardly_a_particle_is_not_proposed(build_model, batch):
    def proposed(min_score):
        def edit(config):
            score_everything(config)
            config.test_cfg.rpn.min_score = min_score

        model = build_model(edit)
        predict(model, batch)
        features = model.extract_feat(model.data_preprocessor(batch)["inputs"])
        return [found.scores for found in model.rpn_head.predict(features, batch["data_samples"], rescale=False)]

    everything = torch.cat(proposed(0.0))
    threshold = everything.median().item()
    for few in proposed(threshold):
        assert 0 < len(few) < len(everything)
        assert (few >= threshold).all()


def test_scales_of_the_settings_find_what_the_same_image_shows_without_and_a_limit_stands_in_it(build_model, batch):
    def at_scales(config):
        score_everything(config)
        config.type, config.precision = "DenseMaskRCNN", "float32"
        config.test_cfg.scales = [1.0]
        config.test_cfg.rpn.max_per_img = config.test_cfg.rcnn.max_per_img = 4000

    def low_limit(config):
        at_scales(config)
        config.test_cfg.rpn.max_per_img = 12

    batch["inputs"] = [image[:1].repeat(3, 1, 1) for image in batch["inputs"]]
    for sample in batch["data_samples"]:
        sample.set_metainfo({"ori_shape": (192, 256), "scale_factor": (1.0, 1.0)})
    model = build_model(at_scales)
    looked = predict(model, batch)
    model.test_cfg.scales = None
    for ours, theirs in zip(looked, predict(model, batch), strict=True):
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-5)
        np.testing.assert_allclose(ours.bboxes, theirs.bboxes, atol=1e-3)
        assert len(ours.masks) == len(theirs.masks) > 0
    grey = batch["inputs"][0][0].float().numpy()
    assert model.find([grey], 1.0)[0].limit == ""
    limited = build_model(low_limit).eval()
    torch.nn.init.constant_(limited.rpn_head.rpn_cls.bias, 1.0)  # all of them are likely
    assert "12 boxes reach the limit model.test_cfg.rpn.max_per_img" in limited.find([grey], 1.0)[0].limit


def test_training_reaches_its_proposal_limit_in_silence_and_gives_every_parameter_a_gradient(
    build_model, batch, warnings_of_the_log
):
    from mmdet.structures.mask import BitmapMasks

    masks = np.zeros((2, 192, 256), np.uint8)
    masks[0, 40:80, 30:90] = 1
    masks[1, 100:120, 150:190] = 1
    for sample in batch["data_samples"]:
        sample.gt_instances.bboxes = torch.tensor([[30.0, 40.0, 90.0, 80.0], [150.0, 100.0, 190.0, 120.0]])
        sample.gt_instances.labels = torch.zeros(2, dtype=torch.long)
        sample.gt_instances.masks = BitmapMasks(masks, 192, 256)
        sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4))
    model = build_model()
    model.train()
    data = model.data_preprocessor(batch, training=True)
    losses = model.loss(data["inputs"], data["data_samples"])
    total, _ = model.parse_losses(losses)
    total.backward()
    assert torch.isfinite(total)
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert warnings_of_the_log() == []
