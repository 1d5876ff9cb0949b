"""How an answer is to be made: the wire's messages for configuration and safety."""

from __future__ import annotations

from multiturn.candidate import HarmCategory
from multiturn.enums import OpenEnum
from multiturn.fields import (
    EnumField,
    Flag,
    Float,
    Integer,
    JsonValue,
    MapOf,
    Nested,
    Repeated,
    String,
)
from multiturn.message import Message


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
    max_items = Integer()
    min_items = Integer()
    properties = MapOf(Nested(lambda: Schema))
    required = Repeated(String())
    min_properties = Integer(presence=True)
    max_properties = Integer(presence=True)
    minimum = Float(presence=True)
    maximum = Float(presence=True)
    min_length = Integer(presence=True)
    max_length = Integer(presence=True)
    pattern = String(presence=True)
    example = JsonValue()
    any_of = Repeated(Nested(lambda: Schema), presence=True)
    property_ordering = Repeated(String(), presence=True)


class Modality(OpenEnum):
    """What an answer may be made of."""

    MODALITY_UNSPECIFIED = 0
    TEXT = 1
    IMAGE = 2
    AUDIO = 3


class GenerationConfig(Message):
    """How an answer is to be made, as it travels; unset means the model decides."""

    Modality = Modality

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
    speech_config = JsonValue()
    thinking_config = JsonValue()
    image_config = JsonValue()
    media_resolution = String(presence=True)


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
