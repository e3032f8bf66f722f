"""A component becomes an image: locked packages and the framework below, its code in the last layer.

project → `plan_images` (lock, context, content hash = tag) → `build_images` on an `Engine` → push.
Nothing is resolved or downloaded inside a build: wheels are unpacked here and copied, so a build needs neither network
nor secrets, works with BuildKit and the legacy builder, and makes images of another architecture without emulation.
"""
