"""How an answer sounds, looks and is thought out, as the wire has it."""

from __future__ import annotations

from multiturn.messages.fields import Flag, Integer, JsonValue, Nested, Repeated, String
from multiturn.messages.message import Message


class PrebuiltVoiceConfig(Message):
    """A voice that the server offers, by name."""

    voice_name = String(presence=True)


class VoiceConfig(Message):
    """A voice."""

    prebuilt_voice_config = Nested(PrebuiltVoiceConfig, oneof="voice_config")
    replicated_voice_config = JsonValue()
    voice = String(presence=True)


class SpeakerVoiceConfig(Message):
    """The voice of one speaker, by the name that the prompt calls them."""

    speaker = String()
    voice_config = Nested(VoiceConfig)


class MultiSpeakerVoiceConfig(Message):
    """The voices of several speakers."""

    speaker_voice_configs = Repeated(Nested(SpeakerVoiceConfig))


class SpeechConfig(Message):
    """How an answer sounds."""

    voice_config = Nested(VoiceConfig)
    multi_speaker_voice_config = Nested(MultiSpeakerVoiceConfig)
    language_code = String(presence=True)


class ThinkingConfig(Message):
    """How much the model thinks, and whether it shows a summary; budget or level, not both."""

    include_thoughts = Flag(presence=True)
    thinking_budget = Integer(presence=True)
    thinking_level = String(presence=True)


class ImageConfig(Message):
    """The shape of a picture that the model makes."""

    aspect_ratio = String(presence=True)
    image_size = String(presence=True)
    person_generation = String(presence=True)
    prominent_people = String(presence=True)
    output_mime_type = String(presence=True)
    output_compression_quality = Integer(presence=True)
    image_output_options = JsonValue()
