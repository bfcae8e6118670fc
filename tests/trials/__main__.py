"""All trials on the folders of checkpoints.

python -m trials FOLDER ... [--without-package]
"""

import argparse
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from transformers import AutoModel

from . import adapters, dtypes, modules, uses


TRIALS = [
    adapters.an_adapter_on_each_layer_gets_a_gradient,
    adapters.adapters_are_saved_loaded_and_merged,
    adapters.modules_to_save_stand_in_the_place_of_each_module,
    modules.a_hook_on_each_module_is_called,
    modules.offloaded_weights_compute_the_same,
    modules.quantized_layers_are_called,
    modules.pruned_layers_compute_with_their_zeros_and_train,
    modules.parametrized_weights_are_computed,
    dtypes.a_cast_to_any_dtype_computes_the_same_up_to_rounding_and_trains,
    uses.a_trainer_evaluates_in_bfloat16_and_trains,
    uses.other_classes_are_all_drawn,
    uses.outputs_come_as_a_tuple_when_asked,
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--without-package", action="store_true", help="by the code beside the weights")
    options = parser.parse_args()
    if options.without_package:
        sys.modules["ncvqvae"] = None  # importing it fails
    else:
        import ncvqvae  # noqa: F401 (transformers then knows the models)
    load = partial(AutoModel.from_pretrained, trust_remote_code=options.without_package)
    for folder in options.folders:
        for trial in TRIALS:
            with TemporaryDirectory() as work:
                trial(folder, load, Path(work))
            print(f"{folder.name}: {trial.__name__.replace('_', ' ')}", flush=True)


if __name__ == "__main__":
    main()
