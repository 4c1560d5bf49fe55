# SPDX-License-Identifier: BSD-3-Clause
"""The text that the golden tokenizers are trained on, and the texts that they are asked to encode."""

CORPUS = """
Every autumn the wood pigeons cross the hills, and every autumn the hunters wait for them on the
ridge. They come in flocks of a thousand, then none for an hour, then three flocks at once. Nobody
decides when they leave, and nobody can tell which of them will arrive. What can be told is that
most of them do, that they know the way, and that the flock is still a flock when a hundred of its
birds have stayed behind. The hunters' sons count them, and write the numbers into a book: 12 on the
1st of October, 340 on the 2nd, 5,820 on the 14th, and 17,000 on the 15th, which nobody believes.
It's the same book that their grandfathers wrote in; they've kept it since 1887. We'll see, they'd
say, what the wind does. I'm told that you're not to speak while they're passing, and that one
doesn't wave. "Don't," said the old man, "they'll turn." And they turned.

A machine that lends its time is like one of these birds. It is there when it is there. It comes
with others, works on a part of the whole, and goes when its owner opens the lid. The work must be
such that it does not matter which machine did it, when it was done, or whether it was done twice.
So each value is made once, is never changed, and can be made again: whoever has lost it asks what
it was made of, and makes it anew. There is nothing else to it, except that the numbers must be the
same numbers, to the last bit, in whatever order the work was done, by however many machines.

    for (size_t i = 0; i < count; i++) {
        sum += values[i] * weights[i];      /* in the order of the indices */
        if (sum != sum)
            return -1;
    }

def mean(values):
\tif not values:
\t\treturn 0.0
\treturn sum(values) / len(values)

L'automne revient, les palombes passent : on les espère dès la Saint-Luc, à l'aube, où le vent naît.
Où vont-elles ? Vers le sud, là-bas, à travers les cols. Ça recommence chaque année.
Über den Hügeln ziehen die Tauben; größere Schwärme hören wir früh, müde Vögel bleiben zurück.
Осенью голуби летят над холмами. Το φθινόπωρο τα περιστέρια περνούν πάνω από τους λόφους.
秋になると、鳩の群れが丘を越えて行きます。 가을이면 비둘기들이 언덕을 넘어간다.
في الخريف تعبر أسراب الحمام فوق التلال. शरद ऋतु में कबूतर पहाड़ियों के ऊपर से उड़ते हैं।
🕊️ 🐦 🍂 👍🏽 👩‍👩‍👧 1 + 1 = 2; 3 × 4 = 12; ½ + ¼ = ¾; x² + y² = z²; 100 % sure?!
"""

CASES = [
    "",
    " ",
    "Every autumn the wood pigeons cross the hills.",
    "every autumn  the   wood    pigeons",
    "  two spaces before, two behind  ",
    "\n",
    "one\ntwo\r\nthree\n\n\nfour\t\tfive \n six",
    "    for (int i = 0; i < 10; i++)\n\t{ sum += a[i]; }",
    "it's they're we've I'm you'll he'd don't IT'S THEY'RE WE'VE I'M",
    "'s 't 're 've 'm 'll 'd 'x",
    "0 1 12 123 1234 12345 123456 3.14159 1,000,000 1st 2nd",
    "L'automne où naît le vent, là-bas ; ça !",
    "Über größere Hügel",
    "Осень, φθινόπωρο, 秋になると、 비둘기, الحمام, पहाड़ियों",
    "🕊️🐦 👍🏽👩‍👩‍👧 🇫🇷",
    "½ ¼ x² Ⅷ ٣٤٥ १२३",
    "a\u00a0b\u2003c\u3000d\u2028e\u0085f",
    "e\u0301 caf\u00e9 cafe\u0301 \u200b\u200d\ufeff",
    "nul \u0000 and escape \u001b and delete \u007f",
    "<|endoftext|>",
    "one<|endoftext|>two <|endoftext|> three<|endoftext|><|endoftext|>",
    "<|endoftext <|endoftext|| |endoftext|>",
    "<|begin_of_text|>Every autumn<|end_of_text|>",
    "x <|pad|> y<|pad|>  z",
    "ſ 'ſ ß ẞ ﬁ Ⓢ 'S",
    "!!!???...---===>>><<<///\\\\\\",
    "http://a.b/c?d=e&f=%20#g user@host [x](y) {\"k\": [1, 2.5e-3, null]}",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "pigeonspigeonspigeonspigeonspigeonspigeonspigeonspigeonspigeonspigeons",
    "\U0001f54a\U00020000\U0010fffd",
]
