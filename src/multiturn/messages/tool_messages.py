"""What a model may call, as the wire has it: tools, functions, and the rules of calling."""

from __future__ import annotations

from multiturn.messages.enums import OpenEnum
from multiturn.messages.fields import (
    EnumField,
    Flag,
    Float,
    Integer,
    JsonValue,
    Nested,
    Repeated,
    String,
)
from multiturn.messages.message import Message
from multiturn.messages.settings import Schema
from multiturn.messages.well_known import Timestamp


class Behavior(OpenEnum):
    """Whether the model waits for a function's result."""

    UNSPECIFIED = 0
    BLOCKING = 1
    NON_BLOCKING = 2


class FunctionDeclaration(Message):
    """A function that the model may call; a schema is given in one of its two forms."""

    Behavior = Behavior

    name = String()
    description = String()
    parameters = Nested(Schema)
    parameters_json_schema = JsonValue()
    response = Nested(Schema)
    response_json_schema = JsonValue()
    behavior = EnumField(Behavior, presence=True)


class RetrievalMode(OpenEnum):
    """When the old form of web search runs."""

    MODE_UNSPECIFIED = 0
    MODE_DYNAMIC = 1


class DynamicRetrievalConfig(Message):
    """When the old form of web search runs: if the model's score reaches the threshold."""

    Mode = RetrievalMode

    mode = EnumField(RetrievalMode)
    dynamic_threshold = Float(presence=True)


class GoogleSearchRetrieval(Message):
    """Web search, the old form of it."""

    dynamic_retrieval_config = Nested(DynamicRetrievalConfig)


class CodeExecution(Message):
    """The server runs Python that the model writes; has no members."""


class Interval(Message):
    """A stretch of time; the end is not part of it."""

    start_time = Timestamp()
    end_time = Timestamp()


class GoogleSearch(Message):
    """Web search."""

    time_range_filter = Nested(Interval)
    search_types = JsonValue()
    exclude_domains = Repeated(String(), presence=True)


class Environment(OpenEnum):
    """What the model operates."""

    ENVIRONMENT_UNSPECIFIED = 0
    ENVIRONMENT_BROWSER = 1


class ComputerUse(Message):
    """The model operates a browser by calls that you carry out."""

    Environment = Environment

    environment = EnumField(Environment)
    excluded_predefined_functions = Repeated(String())


class UrlContext(Message):
    """The server fetches the pages that the prompt names; has no members."""


class RetrievalResource(Message):
    """A store of files to search, in the old spelling."""

    rag_store_name = String()


class FileSearchLimits(Message):
    """How much to search for, in the old spelling."""

    top_k = Integer(presence=True)
    metadata_filter = String()


class FileSearch(Message):
    """The server searches stores of your files."""

    RetrievalResource = RetrievalResource
    RetrievalConfig = FileSearchLimits

    retrieval_resources = Repeated(Nested(RetrievalResource))
    retrieval_config = Nested(FileSearchLimits)
    file_search_store_names = Repeated(String(), presence=True)
    top_k = Integer(presence=True)
    metadata_filter = String(presence=True)


class GoogleMaps(Message):
    """The server looks places up."""

    enable_widget = Flag()


class Tool(Message):
    """A bundle of tools; each member is one kind."""

    GoogleSearch = GoogleSearch
    ComputerUse = ComputerUse

    function_declarations = Repeated(Nested(FunctionDeclaration))
    google_search_retrieval = Nested(GoogleSearchRetrieval)
    code_execution = Nested(CodeExecution)
    google_search = Nested(GoogleSearch)
    computer_use = Nested(ComputerUse)
    url_context = Nested(UrlContext)
    file_search = Nested(FileSearch)
    google_maps = Nested(GoogleMaps)
    mcp_servers = JsonValue()
    retrieval = JsonValue()
    enterprise_web_search = JsonValue()
    parallel_ai_search = JsonValue()
    exa_ai_search = JsonValue()


class CallingMode(OpenEnum):
    """Whether the model may, must or must not call."""

    MODE_UNSPECIFIED = 0
    AUTO = 1
    ANY = 2
    NONE = 3
    VALIDATED = 4


class FunctionCallingConfig(Message):
    """Whether the model may, must or must not call, and what."""

    Mode = CallingMode

    mode = EnumField(CallingMode)
    allowed_function_names = Repeated(String())
    stream_function_call_arguments = Flag(presence=True)


class LatLng(Message):
    """A place on earth, in degrees."""

    latitude = Float()
    longitude = Float()


class RetrievalConfig(Message):
    """Where the user is and what they speak, for tools that look things up."""

    lat_lng = Nested(LatLng)
    language_code = String()


class ToolConfig(Message):
    """Rules of calling that hold for all tools."""

    function_calling_config = Nested(FunctionCallingConfig)
    retrieval_config = Nested(RetrievalConfig)
    include_server_side_tool_invocations = Flag(presence=True)
