/**
 * Makes the 10,000 invented people of people.csv. The same program always writes the same bytes:
 *
 *     node examples/make-people.ts > examples/people.csv
 *
 * Every address lies under example.com, example.net or example.org, which are reserved (RFC 2606).
 */

/** How many people.csv holds. */
export const PEOPLE = 10_000;

/** A name as it is written, and as it stands in an address. */
type Name = readonly [written: string, address: string];

/** Where a person lives; companies and cities are chosen from the same list. */
interface Place {
  /** Of 1,000 people, how many. */
  readonly share: number;
  /** How a first and a last name become one. */
  readonly order: (first: string, last: string) => string;
  readonly first: readonly Name[];
  readonly last: readonly Name[];
  readonly companies: readonly string[];
  readonly cities: readonly string[];
}

const names = (text: string): Name[] =>
  text.split(' ').map((pair) => {
    const [written = '', address = ''] = pair.split('/');
    return [written.replaceAll('_', ' '), address];
  });
const words = (text: string): string[] => text.split('|');

const western = (first: string, last: string) => `${first} ${last}`;
const eastern = (first: string, last: string) => `${last}${first}`;
const spaced = (first: string, last: string) => `${last} ${first}`;

const KOREA: Place = {
  share: 720,
  order: eastern,
  first: names(
    '민준/minjun 서준/seojun 도윤/doyun 예준/yejun 시우/siu 하준/hajun 지호/jiho 주원/juwon 지후/jihu 준우/junwoo ' +
      '서연/seoyeon 서윤/seoyun 지우/jiu 하은/haeun 하윤/hayun 민서/minseo 지유/jiyu 윤서/yunseo 채원/chaewon 수아/sua ' +
      '은우/eunwoo 현우/hyeonwoo 건우/geonwoo 우진/ujin 선우/seonwoo 유준/yujun 연우/yeonu 정우/jeongu 승현/seunghyeon 지훈/jihun ' +
      '다은/daeun 예은/yeeun 소율/soyul 예린/yerin 아린/arin 나은/naeun 가은/gaeun 유나/yuna 서아/seoa 하린/harin ' +
      '빛나/bitna 슬기/seulgi 아름/areum 한별/hanbyeol 보람/boram 새롬/saerom 가람/garam 이슬/iseul 똠/ttom 햇살/haetsal',
  ),
  last: names(
    '김/kim 이/lee 박/park 최/choi 정/jung 강/kang 조/cho 윤/yoon 장/jang 임/lim 한/han 오/oh 서/seo 신/shin 권/kwon 황/hwang ' +
      '안/ahn 송/song 류/ryu 전/jeon 홍/hong 고/ko 문/moon 양/yang 손/son 배/bae 백/baek 허/heo 남궁/namgung 제갈/jegal 선우/sunwoo 뷁/bwelk',
  ),
  companies: words(
    '(주)가나다상사|라마바전자|사아자물산|차카타건설|파하테크|보기푸드|견본병원|"예시", 그리고 사람들|(유)본보기|보기초등학교|',
  ),
  cities: words(
    '서울|부산|인천|대구|대전|광주|수원|울산|창원|고양|용인|성남|청주|전주|천안|제주|포항|김해|춘천|여수|강릉|목포|안동|통영',
  ),
};

const EUROPE: Place = {
  share: 130,
  order: western,
  first: names(
    'Zoë/zoe Jürgen/juergen François/francois José/jose Łukasz/lukasz Þórdís/thordis Søren/soren Åsa/asa Chloé/chloe Renée/renee ' +
      'Björn/bjorn Iñigo/inigo Siân/sian Ağça/agca Şule/sule Dvořák/dvorak Željka/zeljka Ilona/ilona Márton/marton Anaïs/anais',
  ),
  last: names(
    "Müller/mueller Lefèvre/lefevre Núñez/nunez Wójcik/wojcik Björnsdóttir/bjornsdottir Kierkegård/kierkegard Sjöström/sjostrom O'Brien/obrien " +
      'Nguyễn/nguyen García_López/garcialopez Çelik/celik Novák/novak Őri/ori Ångström/angstrom Groß/gross Żuk/zuk D’Angelo/dangelo Ibsen/ibsen',
  ),
  companies: words(
    'Muster GmbH & Co. KG|Exemple SARL|Ejemplo S.A.|Przykład sp. z o.o.|Esimerkki Oy|Acme Ltd.|',
  ),
  cities: words(
    'Zürich|Köln|Paris|Málaga|Kraków|Reykjavík|København|Göteborg|Dublin|İstanbul|Brno|Győr|Łódź|Turku',
  ),
};

const CYRILLIC: Place = {
  share: 40,
  order: western,
  first: names(
    'Анна/anna Фёдор/fyodor Олексій/oleksii Ярослава/yaroslava Димитър/dimitar Љубица/ljubica Юлия/yulia Тарас/taras',
  ),
  last: names(
    'Щербакова/shcherbakova Ёлкин/yolkin Коваленко/kovalenko Їжак/yizhak Петрова/petrova Ђорђевић/djordjevic Жуков/zhukov',
  ),
  companies: words('ООО «Пример»|ТОВ «Зразок»|Пример ЕООД|'),
  cities: words('Київ|София|Београд|Алматы|Львів|Пловдив'),
};

const JAPAN: Place = {
  share: 50,
  order: spaced,
  first: names(
    '葵/aoi 陽菜/hina 蓮/ren 結衣/yui 翔太/shota さくら/sakura ひなた/hinata マリア/maria 健一/kenichi 美咲/misaki',
  ),
  last: names(
    '佐藤/sato 鈴木/suzuki 髙橋/takahashi 田中/tanaka 渡邊/watanabe 伊藤/ito 﨑山/sakiyama 小林/kobayashi 五十嵐/igarashi',
  ),
  companies: words('株式会社サンプル|見本商事|例示工業㈱|'),
  cities: words('東京|大阪|札幌|福岡|京都|那覇|函館'),
};

const CHINA: Place = {
  share: 25,
  order: eastern,
  first: names('伟/wei 芳/fang 静怡/jingyi 浩然/haoran 子涵/zihan 麗華/lihua 志明/zhiming 𠮷/ji'),
  last: names('王/wang 李/li 張/zhang 刘/liu 陳/chen 歐陽/ouyang 诸葛/zhuge'),
  companies: words('示例有限公司|範例股份有限公司|'),
  cities: words('北京|上海|臺北|香港|廣州|成都'),
};

const ARABIC: Place = {
  share: 7,
  order: western,
  first: names('محمد/mohammed فاطمة/fatima يوسف/yusuf ليلى/layla'),
  last: names('العربي/alarabi حداد/haddad الخوري/alkhoury'),
  companies: words('شركة مثال|'),
  cities: words('القاهرة|دبي|عمّان'),
};

const HEBREW: Place = {
  share: 6,
  order: western,
  first: names('ליאור/lior שירה/shira נועם/noam'),
  last: names('כהן/cohen לוי/levi'),
  companies: words('דוגמה בע״מ|'),
  cities: words('חיפה|תל אביב'),
};

const INDIA: Place = {
  share: 8,
  order: western,
  first: names('अनन्या/ananya अर्जुन/arjun प्रिया/priya'),
  last: names('शर्मा/sharma पटेल/patel'),
  companies: words('उदाहरण प्रा. लि.|'),
  cities: words('मुंबई|जयपुर'),
};

const THAILAND: Place = {
  share: 6,
  order: western,
  first: names('สมชาย/somchai มาลี/malee ณัฐ/nat'),
  last: names('ใจดี/jaidee ทองดี/thongdee'),
  companies: words('บริษัท ตัวอย่าง|'),
  cities: words('กรุงเทพ|เชียงใหม่'),
};

const GREECE: Place = {
  share: 8,
  order: western,
  first: names('Νίκος/nikos Ελένη/eleni Γιώργος/giorgos'),
  last: names('Παπαδόπουλος/papadopoulos Αγγέλου/angelou'),
  companies: words('Παράδειγμα Α.Ε.|'),
  cities: words('Αθήνα|Ηράκλειο'),
};

const PLACES = [KOREA, EUROPE, CYRILLIC, JAPAN, CHINA, ARABIC, HEBREW, INDIA, THAILAND, GREECE];

/** Two of them internationalised: people write them so, the table holds A-labels. */
const DOMAINS = words(
  'mail.example.com|mail.example.com|mail.example.com|post.example.net|post.example.net|people.example.org|people.example.org|' +
    'office.example.com|team.example.net|우편.example.com|bücher.example.net',
);

export const COLUMNS = ['이메일', '이름', '회사', '도시', '포인트', '만료일', '쿠폰'] as const;

/** The row of one person (1…PEOPLE) by column. */
export type Person = Readonly<Record<(typeof COLUMNS)[number], string>>;

/** mulberry32: small, seeded, and the same on every machine. Numbers in [0, 1). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function placeFor(share: number): Place {
  let left = share * 1000;
  for (const place of PLACES) {
    if (left < place.share) return place;
    left -= place.share;
  }
  return KOREA;
}

/** Letters of a coupon: none that is taken for another when read aloud. */
const LETTERS = 'ABCDEFGHJKMNPQRSTUVWXYZ23456789';

/** All people, in the order of the file. */
export function people(): Person[] {
  const next = random(1382);
  const one = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;
  const code = () => Array.from({ length: 4 }, () => LETTERS[Math.floor(next() * LETTERS.length)]).join('');
  return Array.from({ length: PEOPLE }, (_, index) => {
    const place = placeFor(next());
    const [first, last] = [one(place.first), one(place.last)];
    return {
      이메일: `${first[1]}.${last[1]}${next() < 0.03 ? '+news' : ''}.${index + 1}@${one(DOMAINS)}`,
      이름: place.order(first[0], last[0]),
      회사: one(place.companies),
      도시: one(place.cities),
      포인트: (10 * (1 + Math.floor(next() ** 3 * 9_000))).toLocaleString('en-US'),
      만료일: `${1 + Math.floor(next() * 2)}월 ${1 + Math.floor(next() * 28)}일`,
      쿠폰: next() < 0.4 ? `BOOK-${code()}-${code()}` : '',
    };
  });
}

/** RFC 4180: quoted where a comma or a quotation mark stands inside. */
const cell = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** people.csv, byte for byte. */
export function peopleCsv(): string {
  const rows = people().map((person) => COLUMNS.map((column) => cell(person[column])).join(','));
  return `${[COLUMNS.join(','), ...rows].join('\n')}\n`;
}

if (import.meta.main) process.stdout.write(peopleCsv());
