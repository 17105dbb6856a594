"""Sharing runs through the Hugging Face Hub: upload with a model card, download safely."""

from lookwider.hub.download import from_pretrained
from lookwider.hub.upload import push_to_hub

__all__ = ["from_pretrained", "push_to_hub"]
