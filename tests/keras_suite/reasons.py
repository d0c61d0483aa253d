"""Why a test of Keras's is not passed: found from its name and from how it fails.

What stands first is no part of minikeras, or waits for a part of its own: such tests are not counted.
"""

import re

#: Layers, functions and files of parts to come.
LATER = {
    "recurrent layers": r"layers/rnn/|\b(RNN|LSTM|GRU|SimpleRNN|TimeDistributed|Bidirectional|ConvLSTM\w*|LSTMCell)\b",
    "one and three dimensions": (
        r"\w*(Conv|Pooling|Cropping|ZeroPadding|UpSampling|SpatialDropout)[13]D\w*|"
        r"layers/\w+/\w*(pooling|cropping|padding|sampling|dropout)[13]d_test|Adaptive\w+Pooling|adaptive_"
    ),
    "masks": r"Masking\b|mask_zero|layers/core/masking|set_keras_mask|with_mask|_mask_|masking$",
    "text and preprocessing": (
        r"layers/preprocessing/|IntegerLookup|StringLookup|TextVectorization|Normalization'?$|Discretization|"
        r"Hash|CategoryEncoding|FeatureSpace|timeseries_dataset|text_dataset|audio_dataset|image_dataset|pad_seq|"
        r"sequence_utils|image_utils|load_img|save_img|array_to_img|Spectrogram"
    ),
    "layers of later courses": (
        r"layers/attention/|Attention|EinsumDense|ReversibleEmbedding|GroupNormalization|SpectralNormalization|"
        r"RMSNormalization|UnitNormalization|AlphaDropout|ActivityRegularization|spectral_norm|unit_norm|rms_norm|"
        r"group_norm|einsum_dense|reversible|alpha_dropout|activity_regularization"
    ),
    "optimizers and callbacks of later courses": (
        r"Muon|Ftrl|Lamb\b|Adafactor|ScheduleFree|CosineDecayRestarts|TensorBoard|RemoteMonitor|SwapEMA|Orbax|"
        r"MultiOptimizer|OptimizerMap|muon_|ftrl_|lamb_|adafactor|schedule_free|tensorboard|remote_monitor|swap_ema|"
        r"monitor_callback|orbax|multi_optimizer"
    ),
}

#: What minikeras doesn't have, or keeps for itself.
OUTSIDE = {
    "quantization": r"quantiz|lora|int[48]|float8|awq|gptq|_kernel'",
    "mixed precision": r"mixed|autocast|LossScale|loss_scale_optimizer|b?float16|half|dtype_polic|DTypePolicy",
    "sparse and ragged tensors": r"sparse tensors|_sparse\b|sparse_(inputs|data|correctness)|ragged|not support sparse",
    "tf.data, and other backends": (
        r"tf_data|tf_dataset|grain|torch|jax|tensorflow|flash|distribution_lib|distributed|sharding|DataParallel|DynamicBackend|Remat|"
        r"compute_conv_transpose|backend_utils|name_scope|tf_\w+_test|data_adapters/(tf|torch|grain)|dataset_utils"
    ),
    "Keras's own internals": (
        r"utils/(code_stats|file_utils|io_utils|naming|tracking|python_utils|dtype_utils|rng_utils|bounding|module|"
        r"numerical_utils|model_visual|config_|traceback|backend)|ShardedH5|DiskIOStore|_safe_zip|NpzIOStore|safe_get_h5|"
        r"file_editor|FileEditor|ObjectSharingScope|EpochIterator|Tracker|validate_float_arg|compute_fans|draw_seed|"
        r"make_default_seed|squeeze_or_expand|build_pos_neg|func_dump|func_load|get_data_adapter|is_continuous_axis|"
        r"trainers/trainer_test|_clip_gradients|CompileLoss|CompileMetrics|DataAdapter|compile_utils|"
        r"class_weight_to_sample|save_model_to_hdf5|legacy/saving|interactive_logging|backend\.device|backend\.numpy|"
        r"data_adapters/|epoch_iterator|random_seed_dtype|compute_output_spec|Wrapper$|core/wrapper|_register_call_context|_functional'|_flatten_layers|_untrack|_u_product|"
        r"auto_name|(load|save)_weights_only|_get_variable_map|variable_mapping|_build'|_trainable_variables'|_layers'|"
        r"monitor_op|object_registration|test_metadata|standins.Missing object|load_own_variables|memory_config|"
        r"metrics_utils|standardize_shape|GradientCheckpoint|H5IOStore|global_seed_generator"
    ),
}

#: What the tape will bring.
AUTODIFF = {
    "a `call` that has to be differentiated": (
        r"no `forward\(|derivative|differentia|Lambda|call.*trained|functional ops|has a `call`|has no `backward"
    ),
    "`ops`, and arithmetic on symbols": r"ops\.\w+$|Symbol.*(operand|subscriptable)|operand.*Symbol|stateless",
}

COUNTED = {
    "half precision and complex numbers": r"complex|float16",
    "channels_first": r"channels_first",
    "other words": r"does not match \"",
    "not refused": r"Error not raised",
    "a warning": r"Warning not triggered",
    "an attribute": r"has no attribute",
    "an argument": r"unexpected keyword|is not supported; leave",
    "a name": r"Lacks: ",
    "other numbers": r"Mismatched|Not equal to tolerance|Arrays are not",
}


def reason(test, text):
    """Return (why, whether it counts) of a test "file::Class.test" and the text of its failure."""
    last = text.strip().splitlines()[-1] if text.strip() else ""
    for table, counts in ((OUTSIDE, False), (LATER, False), (AUTODIFF, False), (COUNTED, True)):
        for why, pattern in table.items():
            if re.search(pattern, test, re.IGNORECASE if table is OUTSIDE else 0) or re.search(pattern, last):
                return why, counts
    return "various", True
