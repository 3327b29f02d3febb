"""Sampling by vLLM on the trainer's GPU: asleep while it trains, awake while it samples.

Not run yet: it needs a GPU, and none was at hand. Its calls were checked against the source of vLLM
0.33.0 (sleep mode, `reload_weights`, LoRA requests, sampling parameters), by reading.
`bench/gpu/check.py` runs the contract suite on it where vLLM is installed.
"""

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

from transformers import PreTrainedModel

from gasp_rl.config import EngineConfig
from gasp_rl.engines.pretrained import copy_tokenizer
from gasp_rl.engines.protocol import Completion, SamplingParams
from gasp_rl.rng import seed_for
from gasp_rl.types import Finish, Tokens

LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as its largest rank."""

MEMORY_SHARE = 0.45  # of the GPU, for vLLM's weights and cache while it is awake


class VllmSampler:
    """Weights travel through a scratch folder: whole ones are read again, an adapter is loaded as
    one more LoRA. vLLM computes other last bits than the trainer: set `loss.tis_cap`."""

    exact = False

    def __init__(
        self,
        model: PreTrainedModel,
        stop_ids: Collection[int],
        folder: Path,
        config: EngineConfig,
    ) -> None:
        from vllm import LLM

        self._model, self._stop_ids = model, sorted(stop_ids)
        self._lora = config.lora_rank > 0
        self._scratch = tempfile.TemporaryDirectory(prefix="gasp-vllm-")
        self._weights = folder if self._lora else Path(self._scratch.name) / "policy"
        self._published = 0
        if not self._lora:
            self._write(self._weights)
            copy_tokenizer(folder, self._weights)
        self._llm = LLM(
            model=str(self._weights),
            dtype=config.dtype,
            skip_tokenizer_init=True,
            enable_sleep_mode=True,
            enable_prefix_caching=True,
            gpu_memory_utilization=MEMORY_SHARE,
            max_num_seqs=config.sample_rows,
            logprobs_mode="processed_logprobs",  # tempered, as the trainer tempers its own
            enable_lora=self._lora,
            max_lora_rank=next((r for r in LORA_RANKS if r >= config.lora_rank), config.lora_rank),
        )
        self._sleep()

    def sample(
        self, prompts_P: Sequence[Tokens], n: int, params: SamplingParams, version: int
    ) -> list[list[Completion]]:
        from vllm import SamplingParams as VllmParams
        from vllm import TokensPrompt

        asked = [
            VllmParams(
                n=n,
                max_tokens=params.max_tokens,
                temperature=params.temperature,
                top_p=params.top_p,
                seed=seed_for(params.seed, i, "vllm") % 2**31,
                stop_token_ids=self._stop_ids,
                logprobs=0,  # of the drawn token alone
                detokenize=False,
            )
            for i in range(len(prompts_P))
        ]
        self._wake()
        outputs = self._llm.generate(
            [TokensPrompt(prompt_token_ids=list(prompt)) for prompt in prompts_P],
            asked,
            lora_request=self._adapter(),
            use_tqdm=False,
        )
        self._sleep()
        return [
            [
                Completion(
                    tokens_T=tuple(sample.token_ids),
                    logprobs_T=tuple(
                        drawn[token].logprob if params.temperature else 0.0
                        for token, drawn in zip(sample.token_ids, sample.logprobs, strict=True)
                    ),
                    finish=Finish.STOP if sample.finish_reason == "stop" else Finish.LENGTH,
                    version=version,
                )
                for sample in output.outputs
            ]
            for output in outputs
        ]

    def publish(self) -> None:
        """Write the weights; vLLM reads them when it wakes."""
        self._published += 1
        self._write(self._adapter_folder() if self._lora else self._weights)

    def close(self) -> None:
        del self._llm
        self._scratch.cleanup()

    def _write(self, folder: Path) -> None:
        self._model.save_pretrained(folder)

    def _adapter_folder(self) -> Path:
        return Path(self._scratch.name) / f"adapter-{self._published}"

    def _adapter(self) -> object | None:
        if not self._lora or not self._published:
            return None
        from vllm.lora.request import LoRARequest

        folder = self._adapter_folder()
        return LoRARequest(folder.name, self._published, str(folder))

    def _sleep(self) -> None:
        """Level 1 keeps the base's weights in CPU memory; level 2 drops them, to be read again."""
        self._llm.sleep(level=1 if self._lora else 2)

    def _wake(self) -> None:
        self._llm.wake_up(tags=["weights"])
        if not self._lora:
            self._llm.collective_rpc("reload_weights")
        self._llm.wake_up(tags=["kv_cache"])
