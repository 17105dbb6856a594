"""The kernels compiled for GPUs, which needs none: rounding and registers."""

from __future__ import annotations

import re
import subprocess

import pytest
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from lookwider.kernels.gpu import kernels
from lookwider.kernels.gpu.launch import PIXELS, fixed_launch

INTEGERS = ("h", "w", "height", "width", "num_classes", "ignore_index")


def compiled(kernel, capability, num_classes=150, pixels=PIXELS, fused=True, **constants):
    """Return a kernel's code in each form, as it is launched for bfloat16 scores."""
    launch = fixed_launch(num_classes, pixels)
    constants |= {"pixel_block": pixels, "class_block": launch.classes}
    if num_classes == 1:  # the launcher makes a 1 a constant
        constants |= {"num_classes": 1, "share_size": 1}
    types = {"scores": "*bf16", "row_starts": "*i32", "col_starts": "*i32", "labels": "*i64"}
    types |= dict.fromkeys(INTEGERS, "i32") | {"share_size": "i64"}
    types |= {"smoothing": "fp32", "infinity": "fp32"}
    names = kernel.arg_names
    signature = {n: "constexpr" if n in constants else types.get(n, "*fp32") for n in names}
    constants = {name: value for name, value in constants.items() if name in names}
    return triton.compile(
        ASTSource(kernel, signature, constexprs=constants),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": launch.warps, "enable_fp_fusion": fused},
    ).asm


def stack_bytes(binary, tmp_path):
    """Return the memory of a thread beside its registers: what does not fit is spilled there."""
    path = tmp_path / "kernel.cubin"
    path.write_bytes(binary)
    command = [triton.knobs.nvidia.cuobjdump.path, "-res-usage", str(path)]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (stack,) = re.findall(r"STACK:(\d+)", report)
    return int(stack)


CASES = [
    (kernels.label_kernel, {"fused": False}),
    (kernels.loss_kernel, {"smooth": False}),
    (kernels.loss_kernel, {"smooth": True}),
    (kernels.gradient_kernel, {}),
]


@pytest.mark.parametrize(("kernel", "options"), CASES)
@pytest.mark.parametrize("capability", [80, 90])
def test_the_fixed_launch_stays_in_registers(kernel, options, capability, tmp_path):
    assert stack_bytes(compiled(kernel, capability, **options)["cubin"], tmp_path) == 0


@pytest.mark.parametrize(("kernel", "options"), CASES)
def test_one_class_and_one_pixel_compile(kernel, options):
    assert compiled(kernel, 90, num_classes=1, pixels=1, **options)["cubin"]


def test_sums_for_labels_round_as_the_plain_form():
    assert "fma" not in compiled(kernels.label_kernel, 90, fused=False)["ptx"]
    assert "fma" in compiled(kernels.label_kernel, 90, fused=True)["ptx"]
