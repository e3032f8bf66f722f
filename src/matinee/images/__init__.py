"""A component becomes an image: locked packages and the framework below, its code in the last layer.

project → `plan_images` (lock, context, content hash = tag) → `build_images` on an `Engine` → push.
Nothing is resolved or downloaded inside a build: wheels are unpacked here and copied, so a build needs neither network
nor secrets, works with BuildKit and the legacy builder, and makes images of another architecture without emulation.
"""

from __future__ import annotations

from matinee.images.build import BuiltImage, build_images
from matinee.images.engine import Engine
from matinee.images.plan import ImagePlan, plan_images
from matinee.images.ui import NAME as UI_NAME
from matinee.images.ui import plan_ui

__all__ = ["UI_NAME", "BuiltImage", "Engine", "ImagePlan", "build_images", "plan_images", "plan_ui"]
