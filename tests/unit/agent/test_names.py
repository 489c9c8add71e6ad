"""Which names mark a stage, and which could mean anything and stay silent."""

from __future__ import annotations

import re

import pytest

from debottleneck.agent.names import PATTERNS, stage_of
from debottleneck.words import STAGES, STEP


@pytest.mark.parametrize(
    ("names", "stage"),
    [
        ("load_batch load_batches get_batch next_batch sample_batch", "load"),
        ("make_minibatch read_mini_batch _fetch_batch batch_iterator", "load"),
        ("minibatches batches data_loader train_loader load fetch", "load"),
        ("load_image load_images read_sample decode_jpeg load_data", "load"),
        ("collate collate_fn get_data next_example train_stream", "load"),
        ("augment augment_batch augmentation preprocess preprocess_image", "augment"),
        ("transform transform_batch tokenize tokenise random_crop", "augment"),
        ("to_device move_to_device batch_to_gpu transfer transfer_batch", "transfer"),
        ("forward forward_pass forward_step feed_forward _forward", "forward"),
        ("loss loss_fn criterion compute_loss cross_entropy mse_loss", "loss"),
        ("softmax_cross_entropy l1_loss bce_loss loss_function", "loss"),
        ("backward backward_pass backprop back_prop backpropagation", "backward"),
        ("compute_gradients compute_grads get_gradient calc_grad", "backward"),
        ("update update_params update_parameters apply_gradients", "update"),
        ("update_weights sgd adam adam_step adamw_update optimizer_step", "update"),
        ("train_step training_step train_batch train_on_batch", STEP),
        ("train_one_batch train_iteration _train_step", STEP),
        ("evaluate evaluate_model validate_epoch run_validation", "evaluate"),
        ("evaluation validation eval_epoch run_eval_loop", "evaluate"),
        ("save_checkpoint write_snapshot save_model checkpoint", "checkpoint"),
        ("log_metrics log_step log_scalars write_summary", "log"),
    ],
)
def test_training_words_mark_their_stage(names: str, stage: str) -> None:
    """A plain function with a training name is its stage, underscores or not."""
    assert {name: stage_of(name) for name in names.split()} == dict.fromkeys(
        names.split(), stage
    )


@pytest.mark.parametrize(
    "names",
    [
        "step main train fit run get next read open close setup init",
        "load_config load_model load_weights load_state_dict load_checkpoint",
        "loaded loader_size preload download upload unload payload",
        "forward_compatible backwards update_config update_progress update_lr",
        "losses lossless gloss log logger logging login catalog save write",
        "validate_input validate_config test",
        "get_item get_name fetch_url read_csv sample shuffle batch",
        "__init__ __call__ __next__ __iter__ __load__ __update__ _ __",
    ],
)
def test_other_words_stay_silent(names: str) -> None:
    """Names with another likely meaning mark nothing."""
    assert {name for name in names.split() if stage_of(name)} == set()


METHODS = [
    ("step", "Adam", (), "update"),
    ("step", "MyOptimizer", (), "update"),
    ("step", "Mine", ("torch.optim.Optimizer",), "update"),
    ("step", "CartPoleEnv", ("gym.Env",), None),
    ("step", "Simulator", (), None),
    ("step", "StepLR", ("LRScheduler",), None),
    ("update", "Parameter", (), "update"),
    ("update", "Layer", (), "update"),
    ("update", "Model", ("nn.Module",), "update"),
    ("update", "Meter", (), None),
    ("update", "AverageMeter", ("object",), None),
    ("update", "Config", ("dict",), None),
    ("update", "Counts", ("collections.Counter",), None),
    ("update", "ReplayBuffer", (), None),
    ("update", "ProgressBar", (), None),
    ("update", "Accuracy", ("Metric",), None),
    ("update", "QAgent", (), None),
    ("update_weights", "Network", (), "update"),
    ("forward", "Layer", (), "forward"),
    ("forward", "Net", ("nn.Module",), None),
    ("forward", "Net", ("torch.nn.Module",), None),
    ("forward", "Net", ("pl.LightningModule",), None),
    ("forward", "Relu", ("torch.autograd.Function",), None),
    ("backward", "Relu", ("Function",), None),
    ("backward", "Layer", (), "backward"),
    ("__next__", "BatchLoader", (), "load"),
    ("__next__", "Tokens", (), None),
    ("__getitem__", "ImageDataset", (), "load"),
    ("__getitem__", "Vocabulary", (), None),
    ("__iter__", "DataLoader", (), "load"),
    ("__iter__", "Node", (), None),
    ("__call__", "CrossEntropyLoss", (), "loss"),
    ("__call__", "Criterion", (), "loss"),
    ("__call__", "RandomAugment", (), "augment"),
    ("__call__", "Layer", (), None),
    ("__len__", "DataLoader", (), None),
    ("load", "Reader", (), "load"),
    ("load", "Model", (), None),
    ("load", "Tokenizer", (), None),
    ("fetch", "Remote", (), "load"),
    ("load_batch", "Anything", (), "load"),
    ("compute_loss", "Trainer", (), "loss"),
    ("train_step", "Trainer", (), STEP),
]


@pytest.mark.parametrize(("name", "owner", "bases", "stage"), METHODS)
def test_methods_are_judged_with_their_class(
    name: str, owner: str, bases: tuple[str, ...], stage: str | None
) -> None:
    """An optimizer's step updates, an environment's does not; and so on."""
    assert stage_of(name, owner, bases) == stage


def test_patterns_name_known_stages() -> None:
    """Every pattern compiles and leads to a stage, or to the step."""
    for stage, pattern in PATTERNS:
        assert stage in (*STAGES, STEP)
        re.compile(pattern)
