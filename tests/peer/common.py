"""What `stage1.py` and `prior.py` take from transformers' tests, and what both say of them."""

import sys
import unittest
from contextlib import nullcontext
from unittest.mock import patch

import pytest
import torch

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
    test_can_init_all_missing_weights_before_2023 = True  # else it wants a year in a notice of copyright
    # Tests that skip themselves, as patterns of their names, by the reason; see conftest.py.
    left_out = {
        "these models know no text, and codes are no vocabulary that a user extends": (
            *("test_resize_*", "test_causal_lm_*", "test_encoder_decoder_*", "test_inputs_embeds"),
        ),
        "no experts, no tensor parallelism, no older names of weights": (
            *("test_moe_*", "test_output_router_*", "test_eager_matches_batched_*", "test_tp_plan_*"),
            *("test_can_load_from_already_mapped_keys", "test_reverse_loading_mapping"),
        ),
        "rotary positions of its own, without settings; attention to all, without a cache": (
            *("test_bc_cache_*", "test_model_rope_*", "test_vision_axial_rope", "test_sliding_*"),
        ),
        "for models of two modalities, each with an attention of its own": (
            *("test_*_implementation_composite_*", "test_*_dispatch_composite_*", "test_*_dynamically_composite_*"),
        ),
    }

    def subTest(self, *_, **__):
        """Thousands of these are a third of all time, since pytest reports each."""
        return nullcontext()

    def test_init_weights_can_init_buffers(self):
        """It takes buffers for constants; the codebook starts at random codes, which here are one."""
        start = VectorQuantizer.reset_parameters

        def constant(quantizer):
            start(quantizer)
            quantizer.embedding_sum.fill_(1.0)

        with patch.object(VectorQuantizer, "reset_parameters", constant):
            super().test_init_weights_can_init_buffers()

    def test_bc_torch_dtype(self):
        """It writes out every weight in case it differs, which takes longer than all else."""
        with patch.object(torch.Tensor, "__format__", lambda *_: "a weight"):
            super().test_bc_torch_dtype()

    @unittest.skip("not applicable: it writes over saved weights, which are then refused")
    def test_model_weights_reload_no_missing_tied_weights(self):
        pass
