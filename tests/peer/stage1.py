"""transformers' common tests on the tokenizer and on its pre-training, as the thesis' and as the base's."""

import unittest

import torch

from helpers.tiny import ANY_LENGTH, TINY
from ncvqvae import NCVQVAEConfig, NCVQVAEForPreTraining, NCVQVAEModel
from peer.common import BATCH, CommonTests, ConfigTester, floats_tensor


class Stage1Tester:
    is_training, batch_size, num_hidden_layers = True, BATCH, 1

    def __init__(self, fields):
        self.fields = fields

    def get_config(self):
        return NCVQVAEConfig(num_channels=2, mean=[0.5, -0.5], std=[2.0, 0.5], **self.fields)

    def prepare_config_and_inputs_for_common(self):
        return self.get_config(), {"values": floats_tensor([BATCH, 2, self.fields["length"] or 64])}


class Stage1Tests(CommonTests):
    fields = TINY
    has_attentions = False
    left_out = CommonTests.left_out | {
        "a convolutional network has no attention, hidden states to promise or input embeddings (as DAC, EnCodec)": (
            *("test_attention_outputs", "test_multimodal_outputs_*", "test_eager_matches_sdpa_*", "test_sdpa_*"),
            *("test_can_capture_*", "test_capture_outputs_*", "test_hidden_states_output", "test_retain_grad_*"),
            *("test_model_get_set_embeddings", "test_enable_input_require_grads_*", "test_internal_model_config_*"),
        )
    }

    def setUp(self):
        torch.manual_seed(0)
        self.model_tester = Stage1Tester(self.fields)

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = super()._prepare_for_class(inputs_dict, model_class, return_labels)
        if return_labels and model_class is NCVQVAEForPreTraining:  # a step of training needs the second view
            inputs["augmented_values"] = inputs["values"] + 0.1
        return inputs


class TokenizerOfThesis(Stage1Tests, unittest.TestCase):
    all_model_classes = (NCVQVAEModel,)

    def test_config(self):
        names = ["num_channels", "length", "codebook_size", "dim"]
        ConfigTester(
            self, NCVQVAEConfig, has_text_modality=False, common_properties=names, num_channels=2, dim=16
        ).run_common_tests()


class TokenizerOfBase(Stage1Tests, unittest.TestCase):
    all_model_classes = (NCVQVAEModel,)
    fields = ANY_LENGTH


class PreTrainingTests(Stage1Tests):
    all_model_classes = (NCVQVAEForPreTraining,)

    @unittest.skip("not applicable: what the tokenizer's folder lacks is the projector, which is drawn anew by intent")
    def test_correct_missing_keys(self):
        pass


class PreTrainingOfThesis(PreTrainingTests, unittest.TestCase):
    fields = TINY | {"ssl_objective": "vibcreg"}  # which has buffers of its own

    @unittest.skip("not applicable: iterative norm keeps itself in float32, among layers of the projector that do not")
    def test_keep_in_fp32_modules(self):
        pass


class PreTrainingOfBase(PreTrainingTests, unittest.TestCase):
    fields = ANY_LENGTH
