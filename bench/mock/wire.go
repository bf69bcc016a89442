package main

import (
	"fmt"
	"strings"
)

// The texts below have the fields and order of recorded answers of vLLM 0.32.0.

const chatHead = `{"id":"chatcmpl-%s","object":"chat.completion","created":1795346819,"model":"` + modelName + `",` +
	`"choices":[{"index":0,"message":{"role":"assistant","content":"The answer of a mock pod.","refusal":null,` +
	`"annotations":null,"audio":null,"function_call":null,"reasoning":null},"logprobs":null,"finish_reason":"length",` +
	`"stop_reason":null,"token_ids":null,"routed_experts":null}],"service_tier":null,` +
	`"system_fingerprint":"vllm-0.32.0-292c18f2",`

const chatTail = `"usage":{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d,"prompt_tokens_details":` +
	`{"cached_tokens":%d,"created_cache_tokens":0,"multimodal_tokens":null},"completion_tokens_details":null},` +
	`"prompt_logprobs":null,"prompt_token_ids":null,"prompt_text":null,"kv_transfer_params":null,` +
	`"ec_transfer_params":null,"metrics":null}`

const textHead = `{"id":"cmpl-%s","object":"text_completion","created":1795346846,"model":"` + modelName + `",` +
	`"choices":[{"index":0,"text":" The answer of a mock pod.","logprobs":null,"finish_reason":"length",` +
	`"stop_reason":null,"token_ids":null,"prompt_logprobs":null,"prompt_token_ids":null}],"service_tier":null,` +
	`"system_fingerprint":"vllm-0.32.0-292c18f2",`

const textTail = `"usage":{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d,"prompt_tokens_details":` +
	`{"cached_tokens":%d}},"kv_transfer_params":null}`

const modelsJson = `{"object":"list","data":[{"id":"` + modelName + `","object":"model","created":1795346817,` +
	`"owned_by":"vllm","root":"` + modelName + `","parent":null,"max_model_len":131072,"permission":[]}]}`

const renderTail = `],"token_offsets":null,"features":null,"content_parts":null,"sampling_params":{"presence_penalty":0.0,` +
	`"frequency_penalty":0.0,"repetition_penalty":1.0,"temperature":1.0,"top_p":1.0,"min_p":0.0,"stop":[],` +
	`"stop_token_ids":[],"max_tokens":5,"output_kind":2,"skip_clone":true,"bad_words":[],` +
	`"skip_reading_prefix_cache":false},"model":"` + modelName + `","reasoning_ended":null,` +
	`"reasoning_parser_kwargs":null,"return_token_ids":null,"output_mode":"tokens","stream":false,` +
	`"stream_options":null,"cache_salt":null,"priority":0,"kv_transfer_params":null,"ec_transfer_params":null}`

const notFoundJson = `{"detail":"Not Found"}`

const streamHead = "HTTP/1.1 200 OK\r\ndate: Sun, 22 Nov 2026 11:27:00 GMT\r\nserver: uvicorn\r\n" +
	"content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"

// dialect is how one route streams: %s is the id of the answer in all of them.
type dialect struct {
	first, token, last, usage string
}

var chatDialect = dialect{
	first: `{"id":"chatcmpl-%s","object":"chat.completion.chunk","created":1795346820,"model":"` + modelName + `",` +
		`"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],` +
		`"prompt_token_ids":null,"prompt_text":null}`,
	token: `{"id":"chatcmpl-%s","object":"chat.completion.chunk","created":1795346820,"model":"` + modelName + `",` +
		`"choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null,"token_ids":null}]}`,
	last: `{"id":"chatcmpl-%s","object":"chat.completion.chunk","created":1795346820,"model":"` + modelName + `",` +
		`"choices":[{"index":0,"delta":{"content":" end"},"logprobs":null,"finish_reason":"length","stop_reason":null,` +
		`"token_ids":null}]}`,
	usage: `{"id":"chatcmpl-%s","object":"chat.completion.chunk","created":1795346820,"model":"` + modelName + `",` +
		`"choices":[],"usage":{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d,"prompt_tokens_details":` +
		`{"cached_tokens":%d}},"system_fingerprint":"vllm-0.32.0-292c18f2"}`,
}

var textDialect = dialect{
	token: `{"id":"cmpl-%s","object":"text_completion","created":1795346846,"model":"` + modelName + `",` +
		`"choices":[{"index":0,"text":" token","logprobs":null,"finish_reason":null,"stop_reason":null,` +
		`"prompt_token_ids":null,"token_ids":null}]}`,
	last: `{"id":"cmpl-%s","object":"text_completion","created":1795346846,"model":"` + modelName + `",` +
		`"choices":[{"index":0,"text":" end","logprobs":null,"finish_reason":"length","stop_reason":null,` +
		`"prompt_token_ids":null,"token_ids":null}]}`,
	usage: `{"id":"cmpl-%s","object":"text_completion","created":1795346846,"model":"` + modelName + `",` +
		`"choices":[],"usage":{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d,"prompt_tokens_details":` +
		`{"cached_tokens":%d}},"system_fingerprint":"vllm-0.32.0-292c18f2"}`,
}

// withIDs has token ids where vLLM tells them when asked, five digits each; the prompt's are in the first event.
func (d dialect) withIDs(promptTokens int) dialect {
	prompt := `"prompt_token_ids":[` + strings.Repeat("12345,", promptTokens) + `1]`
	d.first = strings.Replace(d.first, `"prompt_token_ids":null`, prompt, 1)
	d.token = strings.Replace(d.token, `"token_ids":null`, `"token_ids":[10042]`, 1)
	d.last = strings.Replace(d.last, `"token_ids":null`, `"token_ids":[10043]`, 1)
	return d
}

// event wraps one SSE event into one HTTP chunk, as uvicorn sends it.
func event(data string) string {
	text := "data: " + data + "\n\n"
	return fmt.Sprintf("%x\r\n%s\r\n", len(text), text)
}

func (p *pod) metrics() string {
	label := `{engine="0",model_name="` + modelName + `"}`
	return fmt.Sprintf(`# TYPE process_start_time_seconds gauge
process_start_time_seconds 1.79534666017e+09
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running%[1]s %[2]d.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting%[1]s 0.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc%[1]s 0.1
# TYPE vllm:prefix_cache_queries_total counter
vllm:prefix_cache_queries_total%[1]s %[4]d.0
# TYPE vllm:prefix_cache_hits_total counter
vllm:prefix_cache_hits_total%[1]s %[5]d.0
# TYPE vllm:num_preemptions_total counter
vllm:num_preemptions_total%[1]s 0.0
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total%[1]s %[4]d.0
# TYPE vllm:request_success_total counter
vllm:request_success_total{engine="0",finished_reason="length",model_name="`+modelName+`"} %[3]d.0
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="%[6]d",cache_dtype="auto",enable_prefix_caching="True",engine="0",`+
		`kv_cache_size_tokens="%[8]d",num_gpu_blocks="%[7]d",num_gpu_blocks_override="None"} 1.0
`, label, p.running.Load(), p.requests.Load(), p.prompted.Load(), p.cached.Load(),
		blockSizeTokens, kvBlocks, blockSizeTokens*kvBlocks)
}
