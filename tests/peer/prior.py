"""transformers' common tests on the prior: the thesis', one that is trained from the base, and one without classes."""

import unittest
from unittest.mock import patch

import torch

from helpers.tiny import ANY_LENGTH, FROM_BASE, TINY
from ncvqvae import MaskGITConfig, MaskGITForTimeSeriesGeneration
from ncvqvae.models import modeling_maskgit
from ncvqvae.models.modeling_maskgit import MaskGITOutput
from peer.common import BATCH, CommonTests, ConfigTester, floats_tensor, ids_tensor


CLASSES = {"id2label": dict(enumerate("abcde"))}  # as many as tests take labels from


class PriorTester:
    is_training, batch_size = True, BATCH
    hidden_size, num_hidden_layers, num_attention_heads = 16, 2, 2

    def __init__(self, tokenizer, fields):
        self.tokenizer, self.fields = tokenizer, fields
        self.seq_length = self.get_config().tokenizer_config.num_codes + 1  # the class goes first

    def get_config(self):
        sizes = {name: getattr(self, name) for name in ("hidden_size", "num_hidden_layers", "num_attention_heads")}
        return MaskGITConfig(
            tokenizer_config={"num_channels": 2, **self.tokenizer},
            head_dim=8,
            intermediate_size=16,
            **sizes,
            **self.fields,
        )

    def prepare_config_and_inputs_for_common(self):
        config, inputs = self.get_config(), {"values": floats_tensor([BATCH, 2, self.tokenizer["length"]])}
        if config.num_labels:
            inputs["labels"] = ids_tensor([BATCH], config.num_labels)
        if config.knows_strength:
            inputs["strength"] = floats_tensor([BATCH])
        return config, inputs


class PriorTests(CommonTests):
    tokenizer, fields = TINY, CLASSES
    all_model_classes = (MaskGITForTimeSeriesGeneration,)
    additional_model_inputs = ["labels", "strength"]

    def setUp(self):
        torch.manual_seed(0)
        self.model_tester = PriorTester(self.tokenizer, self.fields)
        # forward masks codes at random, in evaluation too. Tests that compare two calls need the same mask in both.
        drawn = modeling_maskgit.training_mask

        def same(batch, num_codes, generator, *rest):
            return drawn(batch, num_codes, torch.Generator().manual_seed(0), *rest)

        masks = patch.object(modeling_maskgit, "training_mask", same)
        masks.start()
        self.addCleanup(masks.stop)

    def test_batching_equivalence(self):
        """Of `predict`: forward masks other codes of a series alone than of the same series in a batch."""
        config, inputs = self.model_tester.prepare_config_and_inputs_for_common()
        model = MaskGITForTimeSeriesGeneration(config).eval()
        codes = model.encode(inputs["values"]).codes
        known = torch.arange(codes.shape[1]).expand_as(codes) % 2 == 0
        batch = codes, known, inputs.get("labels", torch.zeros(BATCH, dtype=torch.long))
        with torch.no_grad():
            alone = [model.predict(*one) for one in zip(*(part.split(1) for part in batch), strict=True)]
            torch.testing.assert_close(model.predict(*batch), torch.cat(alone), atol=1e-5, rtol=1e-5)

    def test_model_outputs_equivalence(self):
        """It subtracts what two calls return, which PyTorch does not do with booleans: the mask is of numbers."""

        def in_numbers(*fields):
            *others, mask = fields
            return MaskGITOutput(*others, mask.long())

        with patch.object(modeling_maskgit, "MaskGITOutput", in_numbers):
            super().test_model_outputs_equivalence()

    @unittest.skip("not applicable: a prior refuses the folder of a tokenizer; from_tokenizer is the way")
    def test_correct_missing_keys(self):
        pass


class PriorOfThesis(PriorTests, unittest.TestCase):
    def test_config(self):
        names = ["hidden_size", "num_attention_heads", "num_hidden_layers"]
        ConfigTester(
            self, MaskGITConfig, has_text_modality=False, common_properties=names, hidden_size=32
        ).run_common_tests()


class PriorFromBase(PriorTests, unittest.TestCase):
    tokenizer, fields = ANY_LENGTH | {"length": 64}, {"knows_strength": True, **CLASSES, **FROM_BASE}


class PriorWithoutClasses(PriorTests, unittest.TestCase):
    fields = {"code_embedding": "codebook"}
