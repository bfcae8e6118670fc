"""What `stage1.py` and `prior.py` take from transformers' tests, and what both say of them."""

import sys
import unittest
from unittest.mock import patch

import pytest

from ncvqvae.models.vector_quantizer import VectorQuantizer
from peer.lay_out import FOLDER, MISSING


if not FOLDER.is_dir():
    pytest.skip(MISSING, allow_module_level=True)
sys.path.insert(0, str(FOLDER))

from common_tests.test_configuration_common import ConfigTester
from common_tests.test_modeling_common import ModelTesterMixin, floats_tensor, ids_tensor
from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES


__all__ = ["BATCH", "CommonTests", "ConfigTester", "floats_tensor", "ids_tensor"]

BATCH = 3
# As the model of a library's own: tests look here for those without a loss.
MODEL_MAPPING_NAMES.setdefault("ncvqvae", "NCVQVAEModel")


class CommonTests(ModelTesterMixin):
    test_resize_embeddings = False  # codes are no vocabulary that a user extends
    test_can_init_all_missing_weights_before_2023 = True  # else it wants a year in a notice of copyright

    def test_init_weights_can_init_buffers(self):
        """It takes buffers for constants; the codebook starts at random codes, which here are one."""
        start = VectorQuantizer.reset_parameters

        def constant(quantizer):
            start(quantizer)
            quantizer.embedding_sum.fill_(1.0)

        with patch.object(VectorQuantizer, "reset_parameters", constant):
            super().test_init_weights_can_init_buffers()

    @unittest.skip("not applicable: it writes over saved weights, which are then refused")
    def test_model_weights_reload_no_missing_tied_weights(self):
        pass
