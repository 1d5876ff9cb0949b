"""The messages by which services are asked that a conversation does not use.

Each is a line of a table and becomes a class when it is first named.  Most belong to
services that Google has switched off (tuning, permissions, retrieval, PaLM); programs
that name their messages still load.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from multiturn.messages import message
from multiturn.messages.enums import OpenEnum
from multiturn.messages.fields import (
    EnumField,
    Field,
    Flag,
    Float,
    Integer,
    Integer64,
    JsonValue,
    Nested,
    Repeated,
    String,
)
from multiturn.messages.well_known import Timestamp

# A line is a message and its members, each as name:type, where [] is a list, ? a member
# whose default differs from being unset, |x an alternative of the group x.  Text has no type.
_LIVE = """
ContentFilter: reason:ContentFilter.BlockedReason message?
CreateCachedContentRequest: cached_content:CachedContent
CreateFileRequest: file:File
CreateFileResponse: file:File
DeleteCachedContentRequest: name
DeleteFileRequest: name
GetCachedContentRequest: name
GetFileRequest: name
GetModelRequest: name
ListCachedContentsRequest: page_size:int page_token
ListCachedContentsResponse: cached_contents:CachedContent[] next_page_token
ListFilesRequest: page_size:int page_token
ListFilesResponse: files:File[] next_page_token
ListModelsRequest: page_size:int page_token
ListModelsResponse: models:Model[] next_page_token
PredictRequest: model instances:json[] parameters:json
PredictResponse: predictions:json[]
SafetyFeedback: rating:SafetyRating setting:SafetySetting
UpdateCachedContentRequest: cached_content:CachedContent update_mask?
"""
_RETIRED = """
BatchCreateChunksRequest: parent requests:CreateChunkRequest[]
BatchCreateChunksResponse: chunks:Chunk[]
BatchDeleteChunksRequest: parent requests:DeleteChunkRequest[]
BatchEmbedTextRequest: model texts[] requests:EmbedTextRequest[]
BatchEmbedTextResponse: embeddings:Embedding[]
BatchUpdateChunksRequest: parent requests:UpdateChunkRequest[]
BatchUpdateChunksResponse: chunks:Chunk[]
Chunk: name data:ChunkData custom_metadata:CustomMetadata[] create_time:time update_time:time
  state:Chunk.State
ChunkData: string_value|data
Condition: string_value|value numeric_value:float|value operation:Condition.Operator
Corpus: name display_name create_time:time update_time:time
CountMessageTokensRequest: model prompt:MessagePrompt
CountMessageTokensResponse: token_count:int
CountTextTokensRequest: model prompt:TextPrompt
CountTextTokensResponse: token_count:int
CreateChunkRequest: parent chunk:Chunk
CreateCorpusRequest: corpus:Corpus
CreateDocumentRequest: parent document:Document
CreatePermissionRequest: parent permission:Permission
CreateTunedModelMetadata: tuned_model total_steps:int completed_steps:int
  completed_percent:float snapshots:TuningSnapshot[]
CreateTunedModelRequest: tuned_model_id? tuned_model:TunedModel
CustomMetadata: string_value|value string_list_value:StringList|value numeric_value:float|value
  key
Dataset: examples:TuningExamples|dataset
DeleteChunkRequest: name
DeleteCorpusRequest: name force:bool
DeleteDocumentRequest: name force:bool
DeletePermissionRequest: name
DeleteTunedModelRequest: name
Document: name display_name custom_metadata:CustomMetadata[] update_time:time create_time:time
EmbedTextRequest: model text
EmbedTextResponse: embedding:Embedding
Embedding: value:float[]
Example: input:Message output:Message
GenerateAnswerRequest: inline_passages:GroundingPassages|grounding_source
  semantic_retriever:SemanticRetrieverConfig|grounding_source model contents:Content[]
  answer_style:GenerateAnswerRequest.AnswerStyle safety_settings:SafetySetting[]
  temperature:float?
GenerateAnswerResponse: answer:Candidate answerable_probability:float?
  input_feedback:GenerateAnswerResponse.InputFeedback
GenerateAnswerResponse.InputFeedback:
  block_reason:GenerateAnswerResponse.InputFeedback.BlockReason? safety_ratings:SafetyRating[]
GenerateMessageRequest: model prompt:MessagePrompt temperature:float? candidate_count:int?
  top_p:float? top_k:int?
GenerateMessageResponse: candidates:Message[] messages:Message[] filters:ContentFilter[]
GenerateTextRequest: model prompt:TextPrompt temperature:float? candidate_count:int?
  max_output_tokens:int? top_p:float? top_k:int? safety_settings:SafetySetting[]
  stop_sequences[]
GenerateTextResponse: candidates:TextCompletion[] filters:ContentFilter[]
  safety_feedback:SafetyFeedback[]
GetChunkRequest: name
GetCorpusRequest: name
GetDocumentRequest: name
GetPermissionRequest: name
GetTunedModelRequest: name
GroundingPassage: id content:Content
GroundingPassages: passages:GroundingPassage[]
Hyperparameters: learning_rate:float|learning_rate_option
  learning_rate_multiplier:float|learning_rate_option epoch_count:int? batch_size:int?
ListChunksRequest: parent page_size:int page_token
ListChunksResponse: chunks:Chunk[] next_page_token
ListCorporaRequest: page_size:int page_token
ListCorporaResponse: corpora:Corpus[] next_page_token
ListDocumentsRequest: parent page_size:int page_token
ListDocumentsResponse: documents:Document[] next_page_token
ListPermissionsRequest: parent page_size:int page_token
ListPermissionsResponse: permissions:Permission[] next_page_token
ListTunedModelsRequest: page_size:int page_token filter
ListTunedModelsResponse: tuned_models:TunedModel[] next_page_token
Message: author content citation_metadata:CitationMetadata
MessagePrompt: context examples:Example[] messages:Message[]
MetadataFilter: key conditions:Condition[]
Permission: name grantee_type:Permission.GranteeType? email_address? role:Permission.Role?
QueryCorpusRequest: name query metadata_filters:MetadataFilter[] results_count:int
QueryCorpusResponse: relevant_chunks:RelevantChunk[]
QueryDocumentRequest: name query results_count:int metadata_filters:MetadataFilter[]
QueryDocumentResponse: relevant_chunks:RelevantChunk[]
RelevantChunk: chunk_relevance_score:float chunk:Chunk
SemanticRetrieverConfig: source query:Content metadata_filters:MetadataFilter[]
  max_chunks_count:int? minimum_relevance_score:float?
StringList: values[]
TextCompletion: output safety_ratings:SafetyRating[] citation_metadata:CitationMetadata
TextPrompt: text
TransferOwnershipRequest: name email_address
TransferOwnershipResponse:
TunedModel: tuned_model_source:TunedModelSource|source_model base_model|source_model name
  display_name description temperature:float? top_p:float? top_k:int? state:TunedModel.State
  create_time:time update_time:time tuning_task:TuningTask reader_project_numbers:long[]
TunedModelSource: tuned_model base_model
TuningExample: text_input|model_input output
TuningExamples: examples:TuningExample[]
TuningSnapshot: step:int epoch:int mean_loss:float compute_time:time
TuningTask: start_time:time complete_time:time snapshots:TuningSnapshot[] training_data:Dataset
  hyperparameters:Hyperparameters
UpdateChunkRequest: chunk:Chunk update_mask?
UpdateCorpusRequest: corpus:Corpus update_mask?
UpdateDocumentRequest: document:Document update_mask?
UpdatePermissionRequest: permission:Permission update_mask?
UpdateTunedModelRequest: tuned_model:TunedModel update_mask?
"""
_ENUMS = """
Chunk.State: STATE_UNSPECIFIED=0 STATE_PENDING_PROCESSING=1 STATE_ACTIVE=2 STATE_FAILED=10
Condition.Operator: OPERATOR_UNSPECIFIED=0 LESS=1 LESS_EQUAL=2 EQUAL=3 GREATER_EQUAL=4 GREATER=5
  NOT_EQUAL=6 INCLUDES=7 EXCLUDES=8
ContentFilter.BlockedReason: BLOCKED_REASON_UNSPECIFIED=0 SAFETY=1 OTHER=2
GenerateAnswerRequest.AnswerStyle: ANSWER_STYLE_UNSPECIFIED=0 ABSTRACTIVE=1 EXTRACTIVE=2
  VERBOSE=3
GenerateAnswerResponse.InputFeedback.BlockReason: BLOCK_REASON_UNSPECIFIED=0 SAFETY=1 OTHER=2
Permission.GranteeType: GRANTEE_TYPE_UNSPECIFIED=0 USER=1 GROUP=2 EVERYONE=3
Permission.Role: ROLE_UNSPECIFIED=0 OWNER=1 WRITER=2 READER=3
TunedModel.State: STATE_UNSPECIFIED=0 CREATING=1 ACTIVE=2 FAILED=3
"""
_SCALARS: dict[str, type[Field[Any]]] = {
    "": String,
    "int": Integer,
    "long": Integer64,
    "float": Float,
    "bool": Flag,
    "json": JsonValue,
    "time": Timestamp,
}
# Where a message of the table finds those that are declared as classes.
_DECLARED = ("candidate", "content", "resources", "settings")


def _lines(table: str) -> dict[str, str]:
    lines = table.strip().replace("\n  ", " ").splitlines()
    return {name: rest.strip() for name, _, rest in (line.partition(":") for line in lines)}


_MESSAGES = _lines(_LIVE) | _lines(_RETIRED)
_NUMBERS = _lines(_ENUMS)
_made: dict[str, Any] = {}
NAMES = tuple(name for name in _MESSAGES if "." not in name)


def _type_named(name: str) -> Any:
    """Return a class of the table or a declared one; classes are made once."""
    if name in _MESSAGES or name in _NUMBERS:
        if name not in _made:
            _made[name] = _enum(name) if name in _NUMBERS else _message(name)
        return _made[name]
    for module in _DECLARED:
        found = getattr(import_module(f"multiturn.messages.{module}"), name, None)
        if found is not None:
            return found
    raise AttributeError(f"module 'multiturn.protos' has no attribute {name!r}")


def _enum(name: str) -> Any:
    members = [pair.split("=") for pair in _NUMBERS[name].split()]
    numbers = {member: int(number) for member, number in members}
    functional: Any = OpenEnum
    return functional(name.rpartition(".")[2], numbers, module=__name__, qualname=name)


def _message(name: str) -> Any:
    body: dict[str, Any] = {"__module__": __name__, "__qualname__": name}
    body["__doc__"] = "A message of a service that a conversation does not use."
    for member in _MESSAGES[name].split():
        body[member.partition(":")[0].partition("|")[0].strip("[]?")] = _field(member)
    prefix = f"{name}."
    for nested in [*_MESSAGES, *_NUMBERS]:
        if nested.startswith(prefix) and "." not in nested.removeprefix(prefix):
            body[nested.removeprefix(prefix)] = _type_named(nested)
    return message.MessageType(name.rpartition(".")[2], (message.Message,), body)


def _field(member: str) -> Field[Any]:
    rest, _, oneof = member.partition("|")
    kind = rest.partition(":")[2].rstrip("[]?")
    in_list, presence = rest.endswith("[]"), rest.endswith("?")
    options: dict[str, Any] = {"oneof": oneof} if oneof else {}
    field: Field[Any]
    if kind in _NUMBERS:
        field = EnumField(_type_named(kind), presence=presence, **options)
    elif kind in ("json", "time"):
        field = _SCALARS[kind](**options)
    elif kind in _SCALARS:
        field = _SCALARS[kind](presence=presence, **options)
    else:
        field = Nested(lambda: _type_named(kind), **options)
    return Repeated(field) if in_list else field


def __getattr__(name: str) -> Any:
    if name in NAMES:
        return _type_named(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
