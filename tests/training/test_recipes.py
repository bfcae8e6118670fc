import pytest

from helpers.places import TRAINING
from ncvqvae import NCVQVAEConfig
from ncvqvae.training.recipes import TrainingSettings, find_recipe, load_recipe


RECIPES = TRAINING / "recipes"


@pytest.mark.parametrize("path", sorted(RECIPES.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_of_the_repository_loads(path):
    load_recipe(path)


def test_the_thesis_has_a_recipe_for_each_arm():
    views = ("gauss", "slice", "warp")
    arms = {"none"} | {f"{objective}_{view}" for objective in ("barlow", "vibcreg") for view in views}
    assert {path.stem for path in (RECIPES / "thesis").glob("*.yaml")} == arms


@pytest.mark.parametrize("path", sorted((RECIPES / "thesis").glob("*.yaml")), ids=lambda path: path.stem)
def test_recipes_of_the_thesis_have_its_sizes_and_schedule(path):
    recipe = load_recipe(path)
    config = NCVQVAEConfig(**recipe.tokenizer)
    assert (config.codebook_size, config.dim, config.n_fft, config.projector_dim) == (32, 64, 8, 4096)
    assert (config.augmented_weight, config.ssl_weight) == (0.1, 0.01 if config.ssl_objective == "vibcreg" else 1)
    for settings, batch in ((recipe.tokenizer_training, 128), (recipe.prior_training, 256)):
        assert (settings.num_epochs, settings.batch_size) == (1000, batch)
        assert (settings.learning_rate, settings.weight_decay) == (1e-3, 1e-3)
    assert recipe.tokenizer_training.num_steps(3601) == 29000  # FordA


def test_the_command_line_comes_after_the_file_and_the_file_after_the_defaults(tmp_path):
    (tmp_path / "mine.yaml").write_text("seed: 3\ntokenizer_training: {batch_size: 7, learning_rate: 1e-2}\n")
    recipe = load_recipe(tmp_path / "mine.yaml", ["tokenizer_training.batch_size=9", "tokenizer.dim=16"])
    assert recipe.seed == 3
    assert recipe.tokenizer_training.batch_size == 9
    assert recipe.tokenizer_training.learning_rate == 0.01  # YAML 1.1 would have it a text
    assert recipe.tokenizer == {"dim": 16}
    assert recipe.prior_training == TrainingSettings(batch_size=256)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("tokeniser.dim=3", "unknown key 'tokeniser'; did you mean 'tokenizer'"),
        ("tokenizer.dimm=3", "did you mean 'tokenizer.dim'"),
        ("tokenizer.length=3", "unknown key 'tokenizer.length'"),
        ("tokenizer.ssl_objective=simclr", "'simclr'|got simclr"),
        ("tokenizer.n_fft=6", "n_fft must be a multiple of 4, found 6"),
        ("prior.code_embedding=x", "'x'|got x"),
        ("prior_training.batchsize=3", "did you mean 'prior_training.batch_size'"),
        ("prior_training.precision=fp8", "'precision' expected one of"),
        ("prior_training.batch_size=0", "batch_size must be at least 1, found 0"),
        ("prior_training=3", "must hold keys and values"),
        ("seed=a", "'seed' expected int"),
        ("seed.x=1", "seed"),
        ("report_to=x", "got x"),
        ("views=[flop]", "unknown view 'flop'; did you mean flip"),
        ("views=[a", "is not YAML"),
        ("views=[{}]", "unknown view {}"),
        ("views=[{gaussian_noise: {std: abc}}]", "std of view gaussian_noise must be a number, found 'abc'"),
        ("views=[{slice_and_shuffle: {num_segments: 2.5}}]", "must be a whole number"),
        ("views=[{window_warp: {window_ratio: 2}}]", "must be above 0 and at most 1, found 2"),
        ("views=[{slope: {rate: -1}}]", "must be at least 0, found -1"),
        ("prior_training.max_grad_norm=-1", "max_grad_norm must be above 0 and finite, found -1"),
        ("code_temperature=.nan", "code_temperature must be at least 0"),
        ("views=[]", "an objective compares two views"),
        ("validation_fraction=1", "validation_fraction must lie in"),
        ("seed", "an override is key=value"),
        ("seed=-1", "seed must lie in 0 to 4294967295, found -1"),
        ("seed=99999999999999999999999", "seed must lie in 0 to 4294967295"),
        ("seed=1.5", "'seed' expected int"),
        ("tokenizer_training.learning_rate=.inf", "learning_rate must be above 0 and finite, found inf"),
        ("prior_training.learning_rate=.nan", "learning_rate must be above 0 and finite, found nan"),
        ("prior_training.learning_rate=-1e-3", "learning_rate must be above 0 and finite, found -0.001"),
        ("prior_training.learning_rate=0", "learning_rate must be above 0 and finite, found 0"),
        (f"prior_training.learning_rate={10**400}", "learning_rate must be above 0 and finite"),
        ("prior_training.weight_decay=-1", "weight_decay must be at least 0 and finite, found -1"),
        ("prior_training.weight_decay=.nan", "weight_decay must be at least 0 and finite, found nan"),
        ("prior_training.max_grad_norm=.inf", "max_grad_norm must be above 0 and finite, found inf"),
        ("prior_training.max_steps=1e30", "'max_steps'"),
        (f"prior_training.scaled_steps={10**400}", "scaled_steps must be at most 2147483647"),
        ("decoder_training.weight_decay=.inf", "weight_decay must be at least 0 and finite, found inf"),
        ("tokenizer.commitment_weight=.inf", "commitment_weight must be at least 0 and finite, found inf"),
        ("prior.sampling_temperature=.inf", r"sampling_temperature must be a finite number, found inf"),
        ("mixture.amplitude=.nan", r"mixture\.amplitude must be a finite number, found nan"),
        ("mixture.least_scale=-.inf", r"mixture\.least_scale must be a finite number, found -inf"),
        ("views=[{slope: {rate: .inf}}]", "rate of view slope must be at least 0, found inf"),
    ],
)
def test_mistakes_are_refused_in_one_line(override, message):
    with pytest.raises(ValueError, match=message) as error:
        load_recipe(None, [override])
    assert "\n" not in str(error.value)


def test_no_means_float32_also_where_yaml_reads_it_as_false():
    assert load_recipe(None, ["prior_training.precision=no"]).prior_training.precision == "no"


def test_recipes_are_known_by_name_wherever_one_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_recipe("demo") == RECIPES / "demo.yaml"
    assert find_recipe("thesis/barlow_slice") == RECIPES / "thesis" / "barlow_slice.yaml"
    assert load_recipe("thesis/barlow_slice") == load_recipe(RECIPES / "thesis" / "barlow_slice.yaml")
    assert load_recipe("demo", ["seed=5"]).seed == 5
    (tmp_path / "demo.yaml").write_text("seed: 7\n")  # a path, which the ending tells from a name
    assert load_recipe("demo.yaml").seed == 7 and load_recipe("demo").seed != 7


@pytest.mark.parametrize("name", ["barlow_slice", "demo.yml", "thesis", "", "../demo", "thesis/barlow_slcie"])
def test_an_unknown_recipe_is_named_in_one_line_with_those_that_are_known(name):
    with pytest.raises(ValueError, match="there is no recipe") as error:
        find_recipe(name)
    assert "\n" not in str(error.value)
    known = "one of base, base_gpu, demo, from_base, thesis/barlow_gauss, thesis/barlow_slice"
    assert name.endswith("yml") or known in str(error.value)


def test_files_that_are_no_recipe_are_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no recipe"):
        load_recipe(tmp_path / "missing.yaml")
    for text in ("- a list", "a: [", "just words"):
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(ValueError, match=r"bad\.yaml") as error:
            load_recipe(tmp_path / "bad.yaml")
        assert "\n" not in str(error.value)


def test_scaled_steps_grow_with_the_square_root_of_the_number_of_series():
    settings = load_recipe("from_base").prior_training
    assert settings.num_steps(900) == 30 * settings.scaled_steps
    assert settings.num_steps(1600) == 40 * settings.scaled_steps
    assert load_recipe("from_base", ["prior_training.max_steps=7"]).prior_training.num_steps(100) == 7


def test_scaled_steps_show_no_series_more_often_than_num_epochs():
    settings = load_recipe("from_base").prior_training
    assert settings.num_steps(20) == settings.num_epochs  # of one batch each
    assert settings.num_steps(96) == settings.num_epochs * 96 / settings.batch_size
    repeated = load_recipe("from_base", ["prior_training.repeats=2"]).prior_training
    assert repeated.num_steps(96) == 2 * settings.num_steps(96)
