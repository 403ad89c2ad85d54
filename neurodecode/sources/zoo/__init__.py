"""Small networks under study, as plain modules: loaders of published weights and nets that train in seconds.

Weights come from safetensors files only; a file that could run code when it is read is refused.
"""

from ..._names import lazy as _lazy

__getattr__, __dir__, __all__ = _lazy(
    __name__,
    {
        "cifar_resnet": "residual",
        "CifarResNet": "residual",
        "small_conv": "convolutional",
        "SmallConv": "convolutional",
        "train_small_conv": "convolutional",
        "story_model": "stories",
        "story_tokenizer": "stories",
        "char_lstm": "characters",
        "mnist_ddpm": "digits",
        "mnist_vae": "digits",
        "latent_classifier": "digits",
        "read_weights": "weights",
        "as_pictures": "pictures",
    },
)
