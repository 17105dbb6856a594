"""Figures of a service for Prometheus, in a registry of their own."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
IMAGES = (1, 2, 4, 8, 16, 32)

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """What a service counts.

    Args:
        waiting_pixels: tells how many there are before the network.
        admitted_images: tells how many are read, wait, or are computed.
    """

    def __init__(
        self, waiting_pixels: Callable[[], int], admitted_images: Callable[[], int]
    ) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "lookwider_requests", "Answers by address and status.", ["route", "status"],
            registry=self.registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "lookwider_request_seconds", "From a request to the end of its answer.", ["route"],
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        admitted = Gauge(
            "lookwider_admitted", "Images that are read, wait, or are computed.",
            registry=self.registry,
        )  # fmt: skip
        admitted.set_function(admitted_images)
        self.images = Counter(
            "lookwider_images", "Images segmented.", ["model"], registry=self.registry
        )
        self.pixels = Counter(
            "lookwider_pixels", "Pixels segmented.", ["model"], registry=self.registry
        )
        self.batch = Histogram(
            "lookwider_batch_images", "Images that went through the network at once.",
            buckets=IMAGES, registry=self.registry,
        )  # fmt: skip
        self.compute = Histogram(
            "lookwider_compute_seconds", "Time of a batch in the network.", ["model"],
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        waiting = Gauge(
            "lookwider_waiting_pixels", "Pixels that wait for the network.",
            registry=self.registry,
        )  # fmt: skip
        waiting.set_function(waiting_pixels)

    def text(self) -> bytes:
        """Return all figures in Prometheus's text format."""
        return generate_latest(self.registry)
