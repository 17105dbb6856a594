from pathlib import Path

from lookwider.demo.page import CUT_FIELD, WHOLE_FIELD
from lookwider.demo.systems import CUT, SYSTEMS, demo_config
from lookwider.layers.receptive_fields import trace_fields
from lookwider.models import create_model


def test_the_receptive_fields_that_the_page_tells_of() -> None:
    """Of the trunk alone, before any average."""
    for system in SYSTEMS:
        config = demo_config(Path("demo"), system)
        assert config.backbone is not None
        model = create_model(config.model, backbone=config.backbone, **config.model_options)
        fields = trace_fields(model.backbone, size=(1024, 1024))
        seen = max(layer.rows.size for layer in fields.values())
        assert seen == (WHOLE_FIELD if system == "fcn8s" else CUT_FIELD), system
        assert system == "fcn8s" or model.backbone.layers[-1] == CUT
