"""Faults that the tests must notice: a file of the package, what stands there, what is put in its place, the tests."""

LOSSES = "models/test_ssl_objectives.py"
MASKS = "models/test_masking.py"
PRIOR = "models/test_modeling_maskgit.py"
QUANTIZER = "models/test_vector_quantizer.py"
SCALER = "models/test_scaler.py"
ANY_LENGTH = "models/test_any_length.py"
LABELS = "models/test_class_labels.py"
TRIALS = "models/test_trials.py"
METRICS = "evaluation/test_metrics.py"
COPIES = "evaluation/test_memorisation.py"
RESUME = "training/test_checkpoints.py"
HUB = "hub/test_publish.py"
STRANGERS = "demo/test_strangers.py"

MUTANTS = [
    # losses
    ("models/ssl_objectives.py", "(1 - diagonal).square()", "(0 - diagonal).square()", LOSSES),
    (
        "models/ssl_objectives.py",
        "off_diagonal_weight * off_diagonal) / dim",
        "off_diagonal_weight * off_diagonal)",
        LOSSES,
    ),
    ("models/ssl_objectives.py", "/ batch**2 - diagonal.square().sum()", "/ batch**2", LOSSES),
    ("models/ssl_objectives.py", "F.relu(1 - (", "F.relu(2 - (", LOSSES),
    ("models/ssl_objectives.py", "(centred.shape[0] - 1) + 1e-4", "centred.shape[0] + 1e-4", LOSSES),
    (
        "models/ssl_objectives.py",
        "invariance_weight * invariance + variance_weight",
        "invariance + variance_weight",
        LOSSES,
    ),
    ("models/ssl_objectives.py", "/ normalised.shape[1] ** 2", "/ normalised.shape[1]", LOSSES),
    ("models/ssl_objectives.py", "projections.shape[0] < 2", "projections.shape[0] < 1", LOSSES),
    (
        "models/modeling_maskgit.py",
        "visible, targets = codes.masked_fill(mask, self.codebook_size), codes[mask]",
        "visible, targets = codes, codes[mask]",
        PRIOR,
    ),
    ("models/modeling_maskgit.py", ") >= self.config.label_dropout", ") < self.config.label_dropout", PRIOR),
    (
        "models/modeling_maskgit.py",
        "null + scale * (conditional - null)",
        "conditional + scale * (conditional - null)",
        PRIOR,
    ),
    # masks
    ("models/masking.py", "math.cos(progress * math.pi / 2)", "1 - progress", MASKS),
    ("models/masking.py", ".long().clamp_min(1)", ".long()", MASKS),
    ("models/masking.py", "torch.cos(progress * (math.pi / 2))", "torch.cos(progress)", MASKS),
    ("models/masking.py", "(logits.float() / temperature)", "(logits.float() * temperature)", MASKS),
    ("models/masking.py", "cumulative[..., -1:], right=True", "cumulative[..., -1:] * 0.5, right=True", MASKS),
    ("models/masking.py", "largest=False", "largest=True", MASKS),
    ("models/masking.py", "+ noise_scale * gumbel", "- noise_scale * gumbel", MASKS),
    ("models/masking.py", "order.masked_fill(~valid, 2.0)", "order", MASKS),
    ("models/masking.py", "part) % 1 * size", "0 * part) % 1 * size", MASKS),
    ("models/masking.py", "(1 - step / num_steps)", "1.0", PRIOR),
    ("models/masking.py", "1 + (scale - 1) * progress", "1 + scale * progress", f"{MASKS} {PRIOR}"),
    ("models/masking.py", "0.25 <= progress <= 0.75", "0.0 <= progress <= 0.75", f"{MASKS} {PRIOR}"),
    ("models/masking.py", "if left == 0:\n            break", "if left == 0:\n            continue", MASKS),
    # quantizer
    ("models/vector_quantizer.py", "counts, 1 - self.decay", "counts, self.decay", QUANTIZER),
    ("models/vector_quantizer.py", "sums, 1 - self.decay", "sums, self.decay", QUANTIZER),
    ("models/vector_quantizer.py", "hard + (points - points.detach())", "hard", QUANTIZER),
    ("models/vector_quantizer.py", "F.mse_loss(points, hard)", "F.mse_loss(points.detach(), hard)", QUANTIZER),
    ("models/vector_quantizer.py", "torch.where(dead, 1.0, self.cluster_size)", "self.cluster_size", QUANTIZER),
    (
        "models/vector_quantizer.py",
        "self.cluster_size < self.revival_threshold",
        "self.cluster_size > self.revival_threshold",
        QUANTIZER,
    ),
    ("models/vector_quantizer.py", "centroids * counts[:, None]", "centroids", QUANTIZER),
    ("models/vector_quantizer.py", "(scores / temperature).softmax", "(scores * temperature).softmax", QUANTIZER),
    ("models/vector_quantizer.py", "(counts > 0).float().mean()", "(counts >= 0).float().mean()", QUANTIZER),
    ("models/vector_quantizer.py", "if started > 0:", "if False:", QUANTIZER),
    # scaler
    ("models/scaler.py", "* std + mean", "* std", SCALER),
    ("models/scaler.py", "- mean) / std", "- mean)", SCALER),
    ("models/scaler.py", "correction=0", "correction=1", SCALER),
    ("models/scaler.py", "(deviation == 0).any()", "(deviation < 0).any()", ANY_LENGTH),
    ("models/scaler.py", "(mean is None) != (std is None)", "False", ANY_LENGTH),
    ("models/scaler.py", "1e4 * deviation", "1e40 * deviation", SCALER),
    # labels
    ("models/class_labels.py", "by_index and label == NO_CLASS", "False", LABELS),
    ("models/class_labels.py", "by_index or namesake in (None, label)", "True", LABELS),
    ("models/class_labels.py", 'labels == "null" and "null" not in config.label2id', 'labels == "null"', LABELS),
    ("models/class_labels.py", "num_samples < 1", "num_samples < 0", LABELS),
    ("models/class_labels.py", "num_samples not in (None, len(labels))", "False", PRIOR),
    ("models/class_labels.py", "torch.multinomial(shares,", "torch.multinomial(shares * 0 + 1,", PRIOR),
    # what people do with any model
    ("models/cpu_kernels.py", "if is_plain(norm, RMSNorm) and is_plain(linear, nn.Linear):", "if True:", TRIALS),
    ("models/plain.py", "    if is_plain(embedding, nn.Embedding):", "    if True:", TRIALS),
    ("models/plain.py", "any(hooks) or", "", TRIALS),
    ("models/plain.py", '"forward" in vars(module)', "False", TRIALS),
    ("models/plain.py", "type(module) is not kind", "False", TRIALS),
    ("models/modeling_maskgit.py", "if is_plain(self):", "if True:", TRIALS),
    ("models/precision.py", "result.dtype == tensor.dtype else", "True else", TRIALS),
    ("models/precision.py", "bfloat16 and not as_it_is", "bfloat16", TRIALS),
    ("models/likelihood.py", "masked.shape, **numbers", "masked.shape, device=self.device", TRIALS),
    # metrics
    ("evaluation/metrics.py", "trace - 2 * overlap", "trace - overlap", METRICS),
    ("evaluation/metrics.py", "(means[0] - means[1]).square().sum() + trace", "trace", METRICS),
    ("evaluation/metrics.py", "(len(part) - 1) ** 0.5", "len(part) ** 0.5", METRICS),
    ("evaluation/metrics.py", "- 2 * sums[2]", "- sums[2]", METRICS),
    ("evaluation/metrics.py", "(len(second) - same)", "len(second)", METRICS),
    (
        "evaluation/metrics.py",
        "kthvalue(num_neighbours + 1, 1).values\n    generated_radius",
        "kthvalue(num_neighbours, 1).values\n    generated_radius",
        METRICS,
    ),
    (
        "evaluation/metrics.py",
        "in_real.any(1).double().mean().item(),\n    }",
        "in_real.any(0).double().mean().item(),\n    }",
        METRICS,
    ),
    ("evaluation/metrics.py", "variance.pow(order / 2)", "variance", METRICS),
    ("evaluation/metrics.py", "if not features.isfinite().all():", "if False:", METRICS),
    (
        "evaluation/metrics.py",
        "estimates.quantile(tails) - estimates.mean() + centre",
        "estimates.quantile(tails)",
        METRICS,
    ),
    ("evaluation/metrics.py", "divergence.exp()", "divergence", METRICS),
    ("evaluation/memorisation.py", "part <= threshold", "part >= threshold", COPIES),
    ("evaluation/memorisation.py", 'alternative="greater"', 'alternative="less"', COPIES),
    ("evaluation/memorisation.py", "between.fill_diagonal_(torch.inf)", "pass", COPIES),
    # resume
    ("training/checkpoints.py", "            _check_sums(path)\n", "", RESUME),
    ("training/checkpoints.py", "            self._set_aside(path)\n", "", RESUME),
    ("training/checkpoints.py", 'state.get("step") != step', "False", RESUME),
    ("training/checkpoints.py", "(place.shape, place.dtype) != (tensor.shape, tensor.dtype)", "False", RESUME),
    ("training/checkpoints.py", "reversed(self.whole())", "self.whole()", RESUME),
    ("training/checkpoints.py", "self.whole()[: -self.total_limit]", "self.whole()[:0]", RESUME),
    (
        "training/checkpoints.py",
        "            self._restore(load_file(path / OPTIMIZER, where))\n",
        "",
        RESUME,
    ),
    # publishing
    ("hub/checks.py", "        check_finite(values, str(folder))", "        pass", HUB),
    ("hub/checks.py", "if metrics[name] != found:", "if False:", HUB),
    ("hub/checks.py", "    _check_code(folder,", "    0 and _check_code(folder,", HUB),
    ("hub/checks.py", "        if said:\n", "        if False:\n", HUB),
    ("hub/upload.py", "path.is_symlink() or not path.is_file()", "not path.is_file()", HUB),
    ("hub/upload.py", "parent_commit=head", "parent_commit=None", HUB),
    ("hub/upload.py", "            _check_card_there(", "            0 and _check_card_there(", HUB),
    ("hub/upload.py", "+= [CommitOperationDelete(name) for name in deleted]", "+= []", HUB),
    ("hub/publish.py", "    check_measured(folder, model)\n    files", "    files", HUB),
    (
        "hub/publish.py",
        '    check_public(files)\n    if dry_run:\n        return Sent(files, f"{HfApi().endpoint}/{repo_id}", kept)',
        '    if dry_run:\n        return Sent(files, f"{HfApi().endpoint}/{repo_id}", kept)',
        HUB,
    ),
    (
        "hub/publish.py",
        '    if dry_run:\n        return Sent(files, f"{HfApi().endpoint}/{repo_id}", kept)\n',
        "",
        HUB,
    ),
    ("hub/stamp.py", "found[2] == _digest(_body(text))", "True", HUB),
    # the app
    ("demo/inputs.py", "        check_upload(file)\n", "", STRANGERS),
    ("demo/app.py", "(name in served or allow_any)", "True", STRANGERS),
    ("demo/limits.py", " and not isinstance(value, bool)", "", STRANGERS),
]
