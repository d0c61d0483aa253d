"""The names of Keras's classes, for errors: what is Keras's own is not taken for a class of the user's."""

from typing import Any

_NAMES = """
AUC Accuracy Activation ActivityRegularization Adadelta Adafactor Adagrad Adam AdamW Adamax AdaptiveAveragePooling1D
AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D Add
AdditiveAttention AlphaDropout Attention AttentionWrapper AugMix AutoContrast Average AveragePooling1D
AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D AvgPool3D BatchNormalization Bidirectional BinaryAccuracy
BinaryCrossentropy BinaryFocalCrossentropy BinaryIoU CTC CategoricalAccuracy CategoricalCrossentropy
CategoricalFocalCrossentropy CategoricalGeneralizedCrossEntropy CategoricalHinge CategoryEncoding CenterCrop Circle
Concatenate ConcordanceCorrelation Constant ContrastLimitedAdaptiveHistogramEqualization Conv1D Conv1DTranspose
Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM2DCell ConvLSTM3D ConvRecurrent2D
Convolution1D Convolution1DTranspose Convolution2D Convolution2DTranspose Convolution3D Convolution3DTranspose
CosineDecay CosineDecayRestarts CosineSimilarity Cropping1D Cropping2D Cropping3D CuDNNGRU CuDNNLSTM CutMix Dense
DenseFeatures DepthwiseConv1D DepthwiseConv2D Dice Discretization Dot Dropout ELU EinsumDense Embedding Equalization
ExponentialDecay F1Score FBetaScore FalseNegatives FalsePositives Flatten FlaxLayer Ftrl GRU GRUCell GaussianDropout
GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalAvgPool1D GlobalAvgPool2D
GlobalAvgPool3D GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPool3D GlobalMaxPooling1D GlobalMaxPooling2D
GlobalMaxPooling3D GlorotNormal GlorotUniform GroupNormalization GroupQueryAttention HashedCrossing Hashing HeNormal
HeUniform Highway Hinge Huber Identity IdentityInitializer InputLayer IntegerLookup InverseTimeDecay IoU JaxLayer
KLDivergence L1 L1L2 L2 LSTM LSTMCell Lamb Lambda LayerNormalization LeakyReLU LearningRateSchedule LecunNormal
LecunUniform Lion LocallyConnected1D LocallyConnected2D LogCosh LogCoshError LossScaleOptimizer Masking MaxNorm
MaxNumBoundingBoxes MaxPool1D MaxPool2D MaxPool3D MaxPooling1D MaxPooling2D MaxPooling3D Maximum MaxoutDense Mean
MeanAbsoluteError MeanAbsolutePercentageError MeanIoU MeanMetricWrapper MeanSquaredError MeanSquaredLogarithmicError
MelSpectrogram Merge MinMaxNorm Minimum MixUp Model MultiHeadAttention MultiOptimizer Multiply Muon Nadam NonNeg
Normalization OneHotIoU OneHotMeanIoU Ones OptimizerMap Orthogonal OrthogonalInitializer OrthogonalRegularizer PReLU
PearsonCorrelation Permute PiecewiseConstantDecay Pipeline Poisson Policy PolynomialDecay Precision
PrecisionAtRecall R2Score RMSNormalization RMSprop RNN RandAugment RandomBrightness RandomColorDegeneration
RandomColorJitter RandomContrast RandomCrop RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur
RandomGrayscale RandomHeight RandomHue RandomInvert RandomNormal RandomPerspective RandomPosterization
RandomRotation RandomSaturation RandomSharpness RandomShear RandomTranslation RandomUniform RandomWidth RandomZoom
ReLU Recall RecallAtPrecision RepeatVector Rescaling Reshape Resizing ReversibleEmbedding RootMeanSquaredError SGD
STFT STFTInitializer STFTSpectrogram ScheduleFreeAdamW SensitivityAtSpecificity SeparableConv1D SeparableConv2D
SeparableConvolution1D SeparableConvolution2D Sequential SimpleRNN SimpleRNNCell SlicingOpLambda Softmax
Solarization SparseCategoricalAccuracy SparseCategoricalCrossentropy SparseTopKCategoricalAccuracy SpatialDropout1D
SpatialDropout2D SpatialDropout3D SpecificityAtSensitivity SpectralNormalization SquaredHinge StackedRNNCells
StringLookup Subtract Sum TFOpLambda TFSMLayer TensorFlowOpLayer TextVectorization ThresholdedReLU TimeDistributed
TopKCategoricalAccuracy TorchModuleWrapper TrueNegatives TruePositives TruncatedNormal Tversky UnitNorm
UnitNormalization UpSampling1D UpSampling2D UpSampling3D VarianceScaling Wrapper ZeroPadding1D ZeroPadding2D
ZeroPadding3D Zeros
"""

#: Of Keras 3.15, and of Keras 2 where they are no more.
CLASSES = frozenset(_NAMES.split())


def is_keras_class(name: str, module: Any) -> bool:
    """Tell whether a class in a config is one of Keras's; configs of Keras 2 name no module."""
    return name in CLASSES and (module is None or str(module).partition(".")[0] in ("keras", "tf_keras", "tensorflow"))
