"""The name, the format, the better direction and the meaning of each figure of an evaluation."""

# key in the scores, what a reader sees, format, which way is better
Row = tuple[str, str, str, str]

# The figures that a report shows first. Those in `PUBLISHED_NAMES` are measured as in the papers, without a class; the
# names there are the papers'.
HEADLINES: list[Row] = [
    ("null_fid", "FID, sampled without a class", ".2f", "lower"),
    ("fid", "FID, classes drawn as in the training split", ".2f", "lower"),
    ("null_inception_score", "inception score, sampled without a class", ".2f", "higher"),
    ("inception_score", "inception score, classes drawn", ".2f", "higher"),
    ("cas_fcn", "classification accuracy score (CAS)", ".1%", "higher"),
    ("svm", "probe of the codes: linear SVM", ".1%", "higher"),
    ("knn", "probe of the codes: 5 nearest neighbours", ".1%", "higher"),
]
PUBLISHED_NAMES = {
    "null_fid": "fid",
    "null_inception_score": "inception_score",
    "cas_fcn": "cas",
    "svm": "svm",
    "knn": "knn",
}
# The columns of their table, with their meaning.
COLUMNS = {
    "here": "this checkpoint; ± is the standard deviation over the seeds of what is drawn, from one training.",
    "real": """the same figure of real series in the place of generated ones, a floor that small splits raise: of the
  training split, for the inception score of the test split; for CAS a classifier trained on the training split.""",
    "thesis, plain": """a VQ-VAE without the added objective, as the NC-VQVAE thesis reports it; mean and ± of four
  trainings.""",
    "thesis, best arm": """likewise the best of its six variants, each an objective (Barlow Twins or VIbCReg) and the
  views that it compares (slice and shuffle, window warp, Gaussian noise).""",
    "TimeVQVAE": "as its authors report it.",
}

GENERATION: list[Row] = [
    ("fid", "FID", ".2f", "lower"),
    ("null_fid", "FID, sampled without a class", ".2f", "lower"),
    ("class_fid", "class-conditional FID", ".2f", "lower"),
    ("minirocket_fid", "FID of MiniROCKET features", ".2f", "lower"),
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
CLASSIFIERS: list[Row] = [
    (f"{kind}_{classifier}", f"{name}: {label}", "+.1%" if kind == "gain" else ".1%", "higher")
    for classifier, name in (("fcn", "FCN"), ("minirocket", "MiniROCKET"))
    for kind, label in (
        ("cas", "trained on generated (CAS)"),
        ("real", "trained on real"),
        ("both", "trained on both"),
        ("gain", "gain"),
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
    ("train_reconstruction_error", "error of the series, train", ".4f", "lower"),
    ("test_reconstruction_error", "error of the series, test", ".4f", "lower"),
    ("train_spectrogram_error", "error of the spectrogram, train", ".4f", "lower"),
    ("test_spectrogram_error", "error of the spectrogram, test", ".4f", "lower"),
    ("train_perplexity", "perplexity of the codes, train", ".1f", "higher"),
    ("test_perplexity", "perplexity of the codes, test", ".1f", "higher"),
    ("test_usage", "share of the codebook in use, test", ".1%", "higher"),
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
        """Classes are drawn at their shares in the training split, as `generate` does, unless it says without a class.
FID is in the evaluation network's features, and again in MiniROCKET's, since one embedding misleads. Class-conditional
FID is the mean over classes. An FID is worth little without the share of duplicates and the nearest-neighbour ratio,
the median distance to the nearest training series over the same of test series: copies of the training split have a
fine FID. MDD to KD are after TSGBench.""",
        GENERATION,
    ),
    (
        "Does it help a classifier?",
        """Accuracy on the real test split of a classifier trained on generated series alone (CAS), on real ones alone,
and on both in equal parts, each for as many steps; the gain is both minus real. The mirror is trained on real series
and tested on generated ones: how many are recognised as the class that was asked for. The FCN takes 300 steps of 32
series, or five epochs of the larger set where that is more; the papers' takes 1000 epochs.""",
        CLASSIFIERS,
    ),
    (
        "Does it copy?",
        """A near-copy is nearer to a training series than 95 in 100 held-out series are, so a generator that draws
from the law of the data has about 5 % of them. A tokenizer smooths, and smooth series are nearer to everything: so
the same is counted against reconstructions of test series, which are as smooth and no copies. More near-copies than
these have, by Fisher's exact test (0.001), are more than chance.""",
        COPYING,
    ),
    (
        "Tokenizer",
        """Mean squared errors of series scaled to unit variance, over whole splits. The reconstruction FID is of test
series against their own reconstructions: where it is about as large as the FID, the tokenizer is the limit.""",
        TOKENIZER,
    ),
    (
        "Features for classifiers",
        """Accuracy on the test split. The thesis' probes see the average of the quantized latents; the strong ones see
`embed()`, with the penalty that cross-validation on the training split chose.""",
        PROBES,
    ),
]
