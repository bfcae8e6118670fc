"""The name, the format, the better direction and the meaning of each figure of an evaluation."""

# key in the scores, what a reader sees, format, which way is better
Row = tuple[str, str, str, str]

# The figures that a report shows first. `PUBLISHED_NAMES` gives the papers' names of the figures that compare with
# theirs. The papers sample FID and IS without a class. Classes drawn at their shares in the training split sample the
# same law, and do not depend on how well the null class was learned.
HEADLINES: list[Row] = [
    ("null_fid", "FID, sampled without a class", ".2f", "lower"),
    ("fid", "FID, classes drawn as in the training split", ".2f", "lower"),
    ("null_inception_score", "inception score, sampled without a class", ".2f", "higher"),
    ("inception_score", "inception score, classes drawn", ".2f", "higher"),
    ("cas_fcn", "classification accuracy score (CAS)", ".1%", "higher"),
    ("svm", "probe of the codes: linear SVM", ".1%", "higher"),
    ("knn", "probe of the codes: 5 nearest neighbours", ".1%", "higher"),
    ("coverage", "coverage: test series that have a generated one nearby", ".1%", "higher"),
]
# Those of series without classes.
HEADLINES_WITHOUT_CLASSES: list[Row] = [
    ("minirocket_fid", "FID of MiniROCKET features", ".2f", "lower"),
    ("nearest_ratio", "nearest-neighbour ratio: generated ÷ test", ".2f", "near 1"),
    ("decoded_near_copies", "near-copies, against reconstructed test", ".1%", "near 5 %"),
    ("test_masked_accuracy", "masked codes guessed right, test", ".1%", "higher"),
    ("test_reconstruction_error", "error of reconstructed series, test", ".4f", "lower"),
    ("test_perplexity", "perplexity of the codes, test", ".1f", "higher"),
]
PUBLISHED_NAMES = {
    "null_fid": "fid",
    "fid": "fid",
    "null_inception_score": "inception_score",
    "inception_score": "inception_score",
    "cas_fcn": "cas",
    "svm": "svm",
    "knn": "knn",
}
# The columns of the table of these figures, and their meaning.
COLUMNS = {
    "here": "this checkpoint, from one training; ± is the standard deviation over the seeds of the random draws.",
    "real": """the same figure with real series in the place of generated ones, a floor that small splits raise. FID
  takes the training split, the inception score the test split; for CAS a classifier is trained on the training
  split.""",
    "warped": """the same figure with training series that are moved, stretched and scaled by a little, in the place of
  generated ones: a generator that is worth its training is more useful.""",
    "thesis, plain": """a VQ-VAE without the added objective, as the NC-VQVAE thesis reports it; mean and ± of four
  trainings.""",
    "thesis, best arm": """the best of the thesis' six variants, as it reports them; mean and ± of four trainings. A
  variant is an objective (Barlow Twins or VIbCReg) with the views that it compares (slice and shuffle, window warp,
  Gaussian noise).""",
    "TimeVQVAE": "as its authors report it; they and the thesis sample FID and inception score without a class.",
}

GENERATION: list[Row] = [
    ("fid", "FID", ".2f", "lower"),
    ("null_fid", "FID, sampled without a class", ".2f", "lower"),
    ("class_fid", "class-conditional FID", ".2f", "lower"),
    ("minirocket_fid", "FID of MiniROCKET features", ".2f", "lower"),
    ("minirocket_kernel_distance", "kernel distance of MiniROCKET features", ".4f", "lower"),
    ("duplicates", "exact duplicates among the series", ".1%", "lower"),
    ("nearest_ratio", "nearest-neighbour ratio: generated ÷ test", ".2f", "near 1"),
    ("inception_score", "inception score (real: of the test split)", ".2f", "higher"),
    ("null_inception_score", "inception score, sampled without a class", ".2f", "higher"),
    ("precision", "precision", ".2f", "higher"),
    ("recall", "recall", ".2f", "higher"),
    ("density", "density", ".2f", "near 1"),
    ("coverage", "coverage", ".2f", "higher"),
    ("marginal_distribution_difference", "marginal distribution difference (MDD)", ".3f", "lower"),
    ("autocorrelation_difference", "autocorrelation difference (ACD)", ".3f", "lower"),
    ("skewness_difference", "skewness difference (SD)", ".3f", "lower"),
    ("kurtosis_difference", "kurtosis difference (KD)", ".3f", "lower"),
]
GAINS = ("gain", "rival", "margin")
CLASSIFIERS: list[Row] = [
    (f"{kind}_{classifier}", f"{name}: {label}", "+.1%" if kind in GAINS else ".1%", "higher")
    for classifier, name in (("fcn", "FCN"), ("minirocket", "MiniROCKET"), ("embed", "linear model on `embed`"))
    for kind, label in (
        ("cas", "trained on generated (CAS)"),
        ("real", "trained on real"),
        ("warped", "trained on real and warped"),
        ("both", "trained on real and generated"),
        ("gain", "gain by generated over real"),
        ("rival", "gain by warped over real"),
        ("margin", "gain by generated over warped"),
        ("mirror", "trained on real, tested on generated"),
    )
]
COPYING: list[Row] = [
    (f"{prefix}{key}", f"{name}: {label}", form, better)
    for prefix, name in (("", "Euclidean"), ("dtw_", "dynamic time warping"))
    for key, label, form, better in (
        ("nearest_ratio", "nearest-neighbour ratio: generated ÷ test", ".2f", "near 1"),
        ("near_copies", "near-copies, against test", ".1%", "near 5 %"),
        ("decoded_nearest_ratio", "nearest-neighbour ratio: generated ÷ reconstructed test", ".2f", "near 1"),
        ("decoded_near_copies", "near-copies, against reconstructed test", ".1%", "near 5 %"),
        ("copies", "more than chance, share of the seeds", ".0%", "0 %"),
    )
]
TOKENIZER: list[Row] = [
    ("reconstruction_fid", "reconstruction FID, test", ".2f", "lower"),
    ("reconstruction_minirocket_fid", "reconstruction FID of MiniROCKET features, test", ".2f", "lower"),
    ("train_reconstruction_error", "error of the series, train", ".4f", "lower"),
    ("test_reconstruction_error", "error of the series, test", ".4f", "lower"),
    ("train_spectrogram_error", "error of the spectrogram, train", ".4f", "lower"),
    ("test_spectrogram_error", "error of the spectrogram, test", ".4f", "lower"),
    ("train_perplexity", "perplexity of the codes, train", ".1f", "higher"),
    ("test_perplexity", "perplexity of the codes, test", ".1f", "higher"),
    ("test_usage", "share of the codebook in use, test", ".1%", "higher"),
]
PRIOR: list[Row] = [
    ("train_masked_accuracy", "masked codes guessed right, train", ".1%", "higher"),
    ("test_masked_accuracy", "masked codes guessed right, test", ".1%", "higher"),
    ("train_masked_loss", "cross-entropy of masked codes, train", ".3f", "lower"),
    ("test_masked_loss", "cross-entropy of masked codes, test", ".3f", "lower"),
]
PROBES: list[Row] = [
    ("svm", "thesis: linear SVM", ".1%", "higher"),
    ("knn", "thesis: 5 nearest neighbours", ".1%", "higher"),
    ("logistic_regression", "strong: logistic regression", ".1%", "higher"),
    ("linear_svm", "strong: linear SVM", ".1%", "higher"),
]

# title, explanation, rows
SECTIONS: list[tuple[str, str, list[Row]]] = [
    (
        "Generation: distance from the test split",
        """Classes are drawn at their shares in the training split, as `generate` draws them, unless a row says
"without a class". FID is computed on the features of the evaluation network, and again on those of MiniROCKET, because
one embedding alone misleads. Class-conditional FID is the mean over classes. Copies of the training split have a fine
FID. So read it with the share of duplicates and the nearest-neighbour ratio: the median distance of generated series
to the nearest training series, divided by that of test series. MDD, ACD, SD and KD follow TSGBench.""",
        GENERATION,
    ),
    (
        "Does it help a classifier?",
        """Three classifiers are trained: the FCN, MiniROCKET, and a linear model (ridge) on `embed`. Each learns from
generated series alone (CAS), from real ones alone, from real and generated ones in equal parts, and, the fair rival,
from real ones and as many that are warped by a little and jittered (noise of 3 % of the deviation), called warped. Its
accuracy is measured on the real test split, and a gain is the difference of two accuracies. The reverse is also
measured: how many generated series a classifier trained on real ones recognises as the class that was asked for. The
FCN trains for 300 steps of 32 series, or for five epochs of the larger set if that is more; the papers train it for
1000 epochs. The linear model learns from at most 1000 series of each kind.""",
        CLASSIFIERS,
    ),
    (
        "Does it copy?",
        """A near-copy is nearer to a training series than 95 in 100 held-out series are. So a generator that draws
from the law of the data has about 5 % of near-copies. A tokenizer smooths, and smooth series are nearer to everything.
So near-copies are also counted against reconstructions of test series, which are as smooth but are no copies. "More
than chance" means that Fisher's exact test (0.001) finds more near-copies than these reconstructions have.""",
        COPYING,
    ),
    (
        "Tokenizer",
        """The errors are mean squared errors over whole splits, of series scaled to unit variance. The reconstruction
FID compares test series with their own reconstructions: if it is about as large as the FID, the tokenizer is the
limit.""",
        TOKENIZER,
    ),
    (
        "Prior",
        """A share of each series' codes, drawn at random, is masked, and the prior guesses them from the others and
the class. Where it is much better on training series than on test series, it knows the former by heart.""",
        PRIOR,
    ),
    (
        "Features for classifiers",
        """The figures are accuracies on the test split. The thesis' probes see the average of the quantized latents.
The strong probes see `embed()`, and cross-validation on the training split chooses their penalty.""",
        PROBES,
    ),
]
