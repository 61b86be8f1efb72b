"""Makes chat-templates.json: prompts of chat models as transformers writes them (`apply_chat_template` without tokenising).

Usage: python make.py MODEL.gguf ...    (each with a chat template; pip install transformers gguf)
"""
import json
import os
import sys

from gguf import GGUFReader
from transformers.utils.chat_template_utils import render_jinja_template

# As Llama 2 and Mistral write theirs: strict about turns, and with a beginning of the text.
STRICT = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% set messages = messages[1:] %}{% endif %}
{% for message in messages %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('Turns must alternate') }}
    {% endif %}
    {% if message['role'] == 'user' %}
        {{ '[INST] ' + (system + '\\n\\n' if loop.first and system is defined else '') + message['content'] | trim + ' [/INST]' }}
    {% else %}
        {{ ' ' + message['content'] | trim + eos_token }}
    {% endif %}
{% endfor %}"""
CONVERSATIONS = {
    "one question": [{"role": "user", "content": "Where is my parcel?\nIt is late."}],
    "several turns": [
        {"role": "user", "content": "Hello  <b>there</b>"},
        {"role": "assistant", "content": "Hello! What is it?"},
        {"role": "user", "content": "My card \"fails\" — why? 🦙"},
    ],
    "with a system turn": [
        {"role": "system", "content": "Answer in one word."},
        {"role": "user", "content": "Which queue?"},
    ],
}


def text_of(reader, key):
    field = reader.fields.get(key)
    return None if field is None else field.contents()


def main():
    cases = []
    for path in sys.argv[1:]:
        reader = GGUFReader(path)
        template = text_of(reader, "tokenizer.chat_template")
        tokens = reader.fields["tokenizer.ggml.tokens"]

        def token(kind):
            index = text_of(reader, f"tokenizer.ggml.{kind}_token_id")
            return None if index is None else tokens.contents(int(index))

        names = {"bos_token": token("bos") or "", "eos_token": token("eos") or ""}
        if template is None:
            continue
        cases.append(case_of(os.path.basename(path), template, names))
    cases.append(case_of("strict", STRICT, {"bos_token": "<s>", "eos_token": "</s>"}))
    out = os.path.join(os.path.dirname(__file__), "chat-templates.json")
    with open(out, "w", encoding="utf-8") as file:
        json.dump({"conversations": CONVERSATIONS, "cases": cases}, file, ensure_ascii=False, indent=1)
        file.write("\n")


def case_of(model, template, names):
    prompts = {}
    for name, turns in CONVERSATIONS.items():
        texts, _ = render_jinja_template(
            conversations=[turns], chat_template=template, add_generation_prompt=True, **names
        )
        prompts[name] = texts[0]
    return {"model": model, "template": template, **names, "prompts": prompts}


main()
