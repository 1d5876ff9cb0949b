-- What llm 0.26 logged of two conversations with a model that answers by heart; the
-- tables that hold conversations, without its indexes for searching.
CREATE TABLE conversations ("id" TEXT, "name" TEXT, "model" TEXT);
INSERT INTO conversations VALUES ('01m822dcegz88yphp5vjp8ywk2', 'What is this?', 'mock');
INSERT INTO conversations VALUES ('01m822dcrjf17zwcjz0nm9p7gn', 'Hi', 'mock');
CREATE TABLE responses ("id" TEXT, "model" TEXT, "prompt" TEXT, "system" TEXT, "prompt_json" TEXT, "options_json" TEXT, "response" TEXT, "response_json" TEXT, "conversation_id" TEXT, "duration_ms" INTEGER, "datetime_utc" TEXT, "input_tokens" INTEGER, "output_tokens" INTEGER, "token_details" TEXT, "schema_id" TEXT);
INSERT INTO responses VALUES ('01m822dcegz88yphp5vjp8ywk3', 'mock', 'What is this?', 'Be brief.', NULL, '{}', 'A red dot.', NULL, '01m822dcegz88yphp5vjp8ywk2', 0, '2026-11-22T16:46:14.480941+00:00', NULL, NULL, NULL, NULL);
INSERT INTO responses VALUES ('01m822dcjbed9g4g42mbjj3z5v', 'mock', 'And the weather?', NULL, NULL, '{}', '', NULL, '01m822dcegz88yphp5vjp8ywk2', 0, '2026-11-22T16:46:14.603750+00:00', NULL, NULL, NULL, NULL);
INSERT INTO responses VALUES ('01m822dcnhpefh2j07dcxn5pyf', 'mock', '', NULL, NULL, '{}', 'It is 3 degrees in Oslo.', NULL, '01m822dcegz88yphp5vjp8ywk2', 0, '2026-11-22T16:46:14.705559+00:00', NULL, NULL, NULL, NULL);
INSERT INTO responses VALUES ('01m822dcrjf17zwcjz0nm9p7gp', 'mock', 'Hi', NULL, NULL, '{}', 'Hello.', NULL, '01m822dcrjf17zwcjz0nm9p7gn', 0, '2026-11-22T16:46:14.802744+00:00', NULL, NULL, NULL, NULL);
CREATE TABLE attachments ("id" TEXT, "type" TEXT, "path" TEXT, "url" TEXT, "content" BLOB);
INSERT INTO attachments VALUES ('823ceb99fcef5252333ede1b2202341c3b287b6d47571963e6b0ddf393a24f82', 'image/png', NULL, NULL, X'89504e470d0a');
CREATE TABLE prompt_attachments ("response_id" TEXT, "attachment_id" TEXT, "order" INTEGER);
INSERT INTO prompt_attachments VALUES ('01m822dcegz88yphp5vjp8ywk3', '823ceb99fcef5252333ede1b2202341c3b287b6d47571963e6b0ddf393a24f82', 0);
CREATE TABLE tool_calls ("id" INTEGER, "response_id" TEXT, "tool_id" INTEGER, "name" TEXT, "arguments" TEXT, "tool_call_id" TEXT);
INSERT INTO tool_calls VALUES (1, '01m822dcjbed9g4g42mbjj3z5v', 1, 'weather', '{"city": "Oslo"}', 'c1');
CREATE TABLE tool_results ("id" INTEGER, "response_id" TEXT, "tool_id" INTEGER, "name" TEXT, "output" TEXT, "tool_call_id" TEXT, "instance_id" INTEGER);
INSERT INTO tool_results VALUES (1, '01m822dcnhpefh2j07dcxn5pyf', 1, 'weather', '3 degrees in Oslo', 'c1', NULL);
