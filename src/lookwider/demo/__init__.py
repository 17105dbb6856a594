"""The main job on the built-in scenes: three systems trained, measured, probed and compared."""

from lookwider.demo.run import DemoResult, run_demo
from lookwider.demo.systems import SIZE, STEPS, SYSTEMS, demo_config

__all__ = ["SIZE", "STEPS", "SYSTEMS", "DemoResult", "demo_config", "run_demo"]
