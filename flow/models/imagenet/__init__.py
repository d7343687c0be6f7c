"""The networks of WeNet's experiments on ImageNet (section IV-A), for images of 224x224 pixels.

They compute in floating point or in 4-bit fake quantisation (8-bit where a map is signed and not activated); the tile engine,
whose maps have at most 32x32 pixels, does not run them. As in the paper each block has one channel shuffle, behind its first
1x1 convolution.
"""

from flow.models.imagenet.base import ImageNetModel
from flow.models.imagenet.efficientnet import EfficientNetB0
from flow.models.imagenet.mobilenet import MobileNetV2
from flow.models.imagenet.resnet50 import ResNet50

MODELS: dict[str, type[ImageNetModel]] = {
    "resnet50": ResNet50,
    "mobilenet_v2": MobileNetV2,
    "efficientnet_b0": EfficientNetB0,
}
