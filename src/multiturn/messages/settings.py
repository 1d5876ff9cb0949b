"""How an answer is to be made: the wire's messages for configuration and safety."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiturn.messages.candidate import HarmCategory
from multiturn.messages.enums import OpenEnum
from multiturn.messages.fields import (
    EnumField,
    Flag,
    Float,
    Integer,
    Integer64,
    JsonValue,
    MapOf,
    Nested,
    Repeated,
    String,
)
from multiturn.messages.message import Message

if TYPE_CHECKING:
    from multiturn.messages import speech


class Type(OpenEnum):
    """The type of a value in a schema."""

    TYPE_UNSPECIFIED = 0
    STRING = 1
    NUMBER = 2
    INTEGER = 3
    BOOLEAN = 4
    ARRAY = 5
    OBJECT = 6
    NULL = 7


class Schema(Message):
    """The shape of a value; the subset of OpenAPI 3.0 that the Gemini API reads."""

    type_ = EnumField(Type)
    format_ = String()
    title = String(presence=True)
    description = String()
    nullable = Flag()
    default = JsonValue()
    enum = Repeated(String())
    items = Nested(lambda: Schema)
    max_items = Integer64()
    min_items = Integer64()
    properties = MapOf(Nested(lambda: Schema))
    required = Repeated(String())
    min_properties = Integer64(presence=True)
    max_properties = Integer64(presence=True)
    minimum = Float(presence=True)
    maximum = Float(presence=True)
    min_length = Integer64(presence=True)
    max_length = Integer64(presence=True)
    pattern = String(presence=True)
    example = JsonValue()
    any_of = Repeated(Nested(lambda: Schema), presence=True)
    property_ordering = Repeated(String(), presence=True)
    additional_properties = JsonValue()
    defs = MapOf(Nested(lambda: Schema), presence=True)
    ref = String(presence=True)


class Modality(OpenEnum):
    """What an answer may be made of."""

    MODALITY_UNSPECIFIED = 0
    TEXT = 1
    IMAGE = 2
    AUDIO = 3


class MediaResolution(OpenEnum):
    """How many tokens a picture or a video is turned into."""

    MEDIA_RESOLUTION_UNSPECIFIED = 0
    MEDIA_RESOLUTION_LOW = 1
    MEDIA_RESOLUTION_MEDIUM = 2
    MEDIA_RESOLUTION_HIGH = 3


def _speech_config() -> type[speech.SpeechConfig]:
    from multiturn.messages.speech import SpeechConfig

    return SpeechConfig


def _thinking_config() -> type[speech.ThinkingConfig]:
    from multiturn.messages.speech import ThinkingConfig

    return ThinkingConfig


def _image_config() -> type[speech.ImageConfig]:
    from multiturn.messages.speech import ImageConfig

    return ImageConfig


class GenerationConfig(Message):
    """How an answer is to be made, as it travels; unset means the model decides."""

    Modality = Modality
    MediaResolution = MediaResolution

    candidate_count = Integer(presence=True)
    stop_sequences = Repeated(String())
    max_output_tokens = Integer(presence=True)
    temperature = Float(presence=True)
    top_p = Float(presence=True)
    top_k = Integer(presence=True)
    seed = Integer(presence=True)
    response_mime_type = String()
    response_schema = Nested(Schema)
    response_json_schema = JsonValue()
    presence_penalty = Float(presence=True)
    frequency_penalty = Float(presence=True)
    response_logprobs = Flag(presence=True)
    logprobs = Integer(presence=True)
    enable_enhanced_civic_answers = Flag(presence=True)
    response_modalities = Repeated(EnumField(Modality))
    speech_config = Nested(_speech_config)
    thinking_config = Nested(_thinking_config)
    image_config = Nested(_image_config)
    media_resolution = EnumField(MediaResolution, presence=True)
    response_json_schema_ordered = JsonValue()
    audio_timestamp = Flag(presence=True)
    enable_affective_dialog = Flag(presence=True)
    model_selection_config = JsonValue()
    routing_config = JsonValue()
    response_format = JsonValue()
    translation_config = JsonValue()
    audio_transcription_config = JsonValue()


class HarmBlockThreshold(OpenEnum):
    """From which probability of harm on an answer is withheld."""

    HARM_BLOCK_THRESHOLD_UNSPECIFIED = 0
    BLOCK_LOW_AND_ABOVE = 1
    BLOCK_MEDIUM_AND_ABOVE = 2
    BLOCK_ONLY_HIGH = 3
    BLOCK_NONE = 4
    OFF = 5


class SafetySetting(Message):
    """The threshold for one kind of harm."""

    HarmBlockThreshold = HarmBlockThreshold

    category = EnumField(HarmCategory)
    threshold = EnumField(HarmBlockThreshold)
    method = String(presence=True)
