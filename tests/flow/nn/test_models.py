"""The networks: structure, and eval that is exact on integers."""

import numpy as np
import pytest
import torch

from flow.errors import GatefoldError
from flow.models import NAMES, create, initialise
from flow.models.requantisation import MULTIPLIER_LIMIT
from flow.nn.modes import MODES


@pytest.fixture(scope="module")
def model():
    return initialise(create("resnet8"), seed=3)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(5).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


def as_float(images):
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def test_layers_of_resnet8_in_execution_order(model):
    specs = model.layers()
    assert [spec.name for spec in specs] == [
        "stem",
        "stage1.block1.conv1",
        "stage1.block1.conv2",
        "stage2.block1.shortcut",
        "stage2.block1.conv1",
        "stage2.block1.conv2",
        "stage3.block1.shortcut",
        "stage3.block1.conv1",
        "stage3.block1.conv2",
        "classifier",
    ]
    by_name = {spec.name: spec for spec in specs}
    assert by_name["stage1.block1.conv2"].residual == "stem"
    last = by_name["stage3.block1.conv2"]
    assert (last.residual, last.pool, last.out_size) == ("stage3.block1.shortcut", True, 8)
    assert by_name["stage2.block1.conv1"].input == "stage1.block1.conv2"


@pytest.mark.parametrize("name, convolutions", [("resnet8", 9), ("resnet20", 21), ("resnet38", 39), ("resnet74", 75)])
def test_depth_of_every_model(name, convolutions):
    assert name in NAMES
    assert sum(spec.kind == "conv" for spec in create(name).layers()) == convolutions


@pytest.mark.parametrize("mode", MODES)
def test_masked_dense_and_grouped_agree_exactly(model, images, mode):
    model.set_mode(mode)
    model.set_grouped(False)
    dense = model.integer_stations(images)
    model.set_grouped(True)
    grouped = model.integer_stations(images)
    model.set_grouped(None)
    assert list(dense) == list(grouped)
    for name in dense:
        assert np.array_equal(dense[name], grouped[name]), name


@pytest.mark.parametrize("mode", MODES)
def test_stations_follow_the_integer_definition(model, images, mode):
    """Each layer once more with int64 arithmetic and explicit float32 operations, from the outputs of the layers before."""
    model.set_mode(mode)
    stations = model.integer_stations(images)
    from flow.nn.groups import group_mask
    from flow.nn.modes import group_vector
    from flow.nn.shuffle import shuffle_permutation

    vector = group_vector(model, mode)
    previous = {"image": images.transpose(0, 3, 1, 2).astype(np.int64)}
    specs = {spec.name: spec for spec in model.layers()}
    for spec in model.layers():
        if spec.kind != "conv":
            continue
        x = previous.get(spec.input, stations.get(spec.input))
        if spec.input in specs and specs[spec.input].shuffle:
            shuffled = np.empty_like(x)
            shuffled[:, shuffle_permutation(x.shape[1]).numpy()] = x
            x = shuffled
        integers = model.integer_layer(spec.name)
        n = vector[spec.name]
        weight = integers.weight * group_mask(spec.out_channels, spec.in_channels, n).numpy()[:, :, None, None]
        assert abs(weight).max() <= 7
        acc = torch.nn.functional.conv2d(
            torch.from_numpy(x).double(),
            torch.from_numpy(weight).double(),
            stride=spec.stride,
            padding=spec.kernel // 2,
        ).numpy()
        scale, bias = integers.affine(n)
        assert scale.dtype == np.float32 and bias.dtype == np.float32
        y = acc.astype(np.float32) * scale[None, :, None, None]
        y = np.round(y + bias[None, :, None, None]).astype(np.int64)
        if spec.residual:
            y = y + stations[spec.residual]
        assert np.array_equal(stations[spec.name], np.clip(y, 0, 15)), spec.name
        assert stations[spec.name].shape == (len(images), spec.out_channels, spec.out_size, spec.out_size)
    assert np.array_equal(stations["pool"], stations["stage3.block1.conv2"].sum((2, 3)))
    classifier = model.integer_layer("classifier")
    assert np.array_equal(stations["classifier"], stations["pool"] @ classifier.weight.T + classifier.bias)
    assert np.array_equal(stations["classifier"], model.integer_logits(images))


@pytest.mark.parametrize("mode", MODES)
def test_fake_quantisation_agrees_with_integers(model, images, mode):
    model.set_mode(mode)
    x = as_float(images)
    exact = model(x)
    model.exact = False
    try:
        fake = model(x).detach()
    finally:
        model.exact = True
    # A value within float rounding of a tie may fall to the other side; with these weights none does.
    assert torch.allclose(exact, fake, atol=1e-3)
    logits = model.integer_logits(images) * model.integer_layer("classifier").logit_scale
    assert np.allclose(exact.numpy(), logits, rtol=1e-6)


def test_initialise_repeats_and_fits_the_hardware(model):
    again = initialise(create("resnet8"), seed=3)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    for spec in model.layers()[:-1]:
        for n in spec.group_counts:
            assert abs(model.integer_layer(spec.name).affine(n)[0]).max() <= MULTIPLIER_LIMIT * 1.0001


def test_unknown_model_and_bad_images(model):
    with pytest.raises(GatefoldError, match="resnet8, resnet20, resnet38, resnet74"):
        create("vgg")
    with pytest.raises(GatefoldError, match="uint8"):
        model.integer_logits(np.zeros((1, 32, 32, 3), np.float32))
    with pytest.raises(GatefoldError, match=r"\[1, 16, 16, 3\]"):
        model.integer_logits(np.zeros((1, 16, 16, 3), np.uint8))
