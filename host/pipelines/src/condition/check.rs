//! Types of conditions, as far as they are known before anything runs: a wrong name or a comparison that can never hold is said
//! when a pipeline is read.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr, operators};
use gallery::facts::{Fields, Kind, PERSON, ROOTS};

use crate::suggest;

/// Parts of a condition at most, and lists gone through within each other.
const MOST_PARTS: usize = 500;
const MOST_LOOPS: usize = 2;

#[derive(Debug, Clone, PartialEq)]
enum Type {
    Truth,
    Whole,
    Number,
    Text,
    Bytes,
    Time,
    Span,
    List(Box<Type>),
    Fields(Fields),
    Steps,
    /// Only a run knows.
    Any,
}

impl Type {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text,
            Kind::Whole => Self::Whole,
            Kind::Number => Self::Number,
            Kind::Truth => Self::Truth,
            Kind::People => Self::List(Box::new(Self::Fields(PERSON))),
            Kind::Steps => Self::Steps,
        }
    }

    fn words(&self) -> &'static str {
        match self {
            Self::Truth => "true or false",
            Self::Whole => "a whole number",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::Bytes => "bytes",
            Self::Time => "a time",
            Self::Span => "a duration",
            Self::List(_) => "a list",
            Self::Fields(_) | Self::Steps => "something with fields",
            Self::Any => "anything",
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Self::Whole | Self::Number)
    }

    /// May the two be compared?
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => true,
            (Self::List(a), Self::List(b)) => a.is_like(b),
            _ => self == other || self.is_number() && other.is_number(),
        }
    }
}

/// Functions beside the operators: name, what they are called on (`None`: anything), what they give.
const FUNCTIONS: &[(&str, Option<Type>, Type)] = &[
    ("size", None, Type::Whole),
    ("contains", Some(Type::Text), Type::Truth),
    ("startsWith", Some(Type::Text), Type::Truth),
    ("endsWith", Some(Type::Text), Type::Truth),
    ("matches", Some(Type::Text), Type::Truth),
    ("lowerAscii", Some(Type::Text), Type::Text),
    ("upperAscii", Some(Type::Text), Type::Text),
    ("trim", Some(Type::Text), Type::Text),
    ("string", None, Type::Text),
    ("int", None, Type::Whole),
    ("double", None, Type::Number),
    ("timestamp", None, Type::Time),
    ("duration", None, Type::Span),
    ("getFullYear", Some(Type::Time), Type::Whole),
    ("getMonth", Some(Type::Time), Type::Whole),
    ("getDayOfMonth", Some(Type::Time), Type::Whole),
    ("getDayOfWeek", Some(Type::Time), Type::Whole),
    ("getDayOfYear", Some(Type::Time), Type::Whole),
    ("getHours", Some(Type::Time), Type::Whole),
    ("getMinutes", Some(Type::Time), Type::Whole),
    ("getSeconds", Some(Type::Time), Type::Whole),
];

/// # Errors
/// The first thing that is wrong.
pub fn check(expression: &IdedExpr, before: &[&str]) -> Result<(), String> {
    let mut checker = Checker { before, scope: Vec::new(), parts: 0, loops: 0 };
    match checker.infer(expression)? {
        Type::Truth | Type::Any => Ok(()),
        other => Err(format!("the condition gives {}, not true or false", other.words())),
    }
}

struct Checker<'a> {
    before: &'a [&'a str],
    scope: Vec<(&'a str, Type)>,
    parts: usize,
    loops: usize,
}

impl<'a> Checker<'a> {
    fn infer(&mut self, expression: &'a IdedExpr) -> Result<Type, String> {
        self.parts += 1;
        if self.parts > MOST_PARTS {
            return Err(format!("the condition has more than {MOST_PARTS} parts"));
        }
        match &expression.expr {
            Expr::Literal(literal) => literal_type(literal),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                let mut of = Type::Any;
                for element in &list.elements {
                    let found = self.infer(element)?;
                    if !of.is_like(&found) {
                        return Err(format!("a list holds {} and {}", of.words(), found.words()));
                    }
                    of = found;
                }
                Ok(Type::List(Box::new(of)))
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.infer(&entry.key)?;
                        self.infer(&entry.value)?;
                    }
                }
                Ok(Type::Any)
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Struct(_) | Expr::Unspecified => {
                Err("the condition makes a structure, which conditions cannot".into())
            }
        }
    }

    fn name(&self, name: &str) -> Result<Type, String> {
        if let Some((_, known)) = self.scope.iter().rev().find(|(local, _)| *local == name) {
            return Ok(known.clone());
        }
        if let Some((_, fields)) = ROOTS.iter().find(|(root, _)| *root == name) {
            return Ok(Type::Fields(fields));
        }
        let hint = match ROOTS.iter().find(|(_, fields)| fields.iter().any(|(field, _)| *field == name)) {
            Some((root, _)) => format!("; did you mean \"{root}.{name}\"?"),
            None => suggest::hint(name, ROOTS.iter().map(|(root, _)| *root)),
        };
        Err(format!("a condition knows no {name:?}{hint}"))
    }

    fn select(&mut self, select: &'a SelectExpr) -> Result<Type, String> {
        let of = self.infer(&select.operand)?;
        let found = self.field(&of, &spelled(&select.operand), &select.field)?;
        Ok(if select.test { Type::Truth } else { found })
    }

    fn field(&self, of: &Type, spelled: &str, field: &str) -> Result<Type, String> {
        match of {
            Type::Any => Ok(Type::Any),
            Type::Fields(fields) => match fields.iter().find(|(name, _)| *name == field) {
                Some((_, kind)) => Ok(Type::of(*kind)),
                None => {
                    let known = fields.iter().map(|(name, _)| *name);
                    let elsewhere = ROOTS.iter().find(|(_, others)| others.iter().any(|(name, _)| *name == field));
                    let hint = match elsewhere {
                        Some((root, _)) => format!("; did you mean \"{root}.{field}\"?"),
                        None => suggest::hint(field, known),
                    };
                    Err(format!("{spelled} has no {field:?}{hint}"))
                }
            },
            Type::Steps if self.before.contains(&field) => Ok(Type::Text),
            Type::Steps => {
                let hint = suggest::hint(field, self.before.iter().copied());
                Err(format!("this step comes after no step {field:?}, so how that ended is not known{hint}"))
            }
            other => Err(format!("{spelled} is {}, which has no {field:?}", other.words())),
        }
    }

    fn comprehension(&mut self, loops: &'a ComprehensionExpr) -> Result<Type, String> {
        self.loops += 1;
        if self.loops > MOST_LOOPS {
            return Err(format!("the condition goes through more than {MOST_LOOPS} lists within each other"));
        }
        let element = match self.infer(&loops.iter_range)? {
            Type::List(element) => *element,
            Type::Fields(_) | Type::Steps => Type::Text,
            Type::Any => Type::Any,
            other => return Err(format!("{} is {}, not a list", spelled(&loops.iter_range), other.words())),
        };
        let start = self.infer(&loops.accu_init)?;
        let depth = self.scope.len();
        self.scope.push((&loops.iter_var, element));
        if let Some(second) = &loops.iter_var2 {
            self.scope.push((second, Type::Any));
        }
        self.scope.push((&loops.accu_var, start.clone()));
        self.infer(&loops.loop_cond)?;
        let step = self.infer(&loops.loop_step)?;
        let accumulated = if let Type::List(_) = start { step } else { start };
        if let Some(last) = self.scope.last_mut() {
            last.1 = accumulated;
        }
        let result = self.infer(&loops.result)?;
        self.scope.truncate(depth);
        self.loops -= 1;
        Ok(result)
    }

    fn call(&mut self, call: &'a CallExpr) -> Result<Type, String> {
        let mut given = Vec::new();
        for argument in call.target.as_deref().into_iter().chain(&call.args) {
            given.push((argument, self.infer(argument)?));
        }
        match (call.func_name.as_str(), &given[..]) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT, _) => {
                for (argument, found) in &given {
                    if !found.is_like(&Type::Truth) {
                        return Err(format!("{} is {}, not true or false", spelled(argument), found.words()));
                    }
                }
                Ok(Type::Truth)
            }
            (operators::NOT_STRICTLY_FALSE, _) => Ok(Type::Truth),
            (operators::CONDITIONAL, [(_, _), (_, yes), (_, no)]) => {
                Ok(if *yes == Type::Any || *yes == Type::List(Box::new(Type::Any)) { no } else { yes }.clone())
            }
            (operators::EQUALS | operators::NOT_EQUALS, [(left, a), (right, b)]) => compared(left, a, right, b),
            (
                operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS,
                [(left, a), (right, b)],
            ) => match a {
                Type::List(_) | Type::Fields(_) | Type::Steps => {
                    Err(format!("{} is {}, which is neither more nor less than another", spelled(left), a.words()))
                }
                _ => compared(left, a, right, b),
            },
            (operators::IN, [(left, a), (right, b)]) => match b {
                Type::List(element) if element.is_like(a) => Ok(Type::Truth),
                Type::List(element) => Err(format!(
                    "{} is {}, and {} holds {}: it is never in it",
                    spelled(left),
                    a.words(),
                    spelled(right),
                    element.words()
                )),
                Type::Any | Type::Steps | Type::Fields(_) => Ok(Type::Truth),
                other => Err(format!("{} is {}, not a list", spelled(right), other.words())),
            },
            (operators::INDEX, [(left, of), (right, _)]) => match (of, &right.expr) {
                (Type::List(element), _) => Ok((**element).clone()),
                (Type::Fields(_) | Type::Steps, Expr::Literal(LiteralValue::String(name))) => {
                    self.field(of, &spelled(left), name.inner())
                }
                _ => Ok(Type::Any),
            },
            (
                operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO,
                [(left, a), (right, b)],
            ) => arithmetic(left, a, right, b),
            (operators::NEGATE, [(_, a)]) => Ok(a.clone()),
            (name, given) => function(name, call.target.is_some(), given),
        }
    }
}

fn literal_type(literal: &LiteralValue) -> Result<Type, String> {
    match literal {
        LiteralValue::Boolean(_) => Ok(Type::Truth),
        LiteralValue::Int(_) | LiteralValue::UInt(_) => Ok(Type::Whole),
        LiteralValue::Double(_) => Ok(Type::Number),
        LiteralValue::String(_) => Ok(Type::Text),
        LiteralValue::Bytes(_) => Ok(Type::Bytes),
        LiteralValue::Null => Err("nothing is null: ask has(exif.city) whether something is known".into()),
    }
}

fn compared(left: &IdedExpr, a: &Type, right: &IdedExpr, b: &Type) -> Result<Type, String> {
    if a.is_like(b) {
        return Ok(Type::Truth);
    }
    let (left, right) = (spelled(left), spelled(right));
    Err(format!("{left} is {}, and {right} is {}: the two cannot be compared", a.words(), b.words()))
}

fn arithmetic(left: &IdedExpr, a: &Type, right: &IdedExpr, b: &Type) -> Result<Type, String> {
    match (a, b) {
        (Type::Any, other) | (other, Type::Any) => Ok(other.clone()),
        (Type::List(x), Type::List(y)) => Ok(Type::List(if **x == Type::Any { y.clone() } else { x.clone() })),
        (Type::Time, Type::Time) => Ok(Type::Span),
        (Type::Time, Type::Span) | (Type::Span, Type::Time) => Ok(Type::Time),
        (Type::Whole, Type::Number) | (Type::Number, Type::Whole) => Err(format!(
            "{} and {} are different kinds of numbers: write double(…) around the whole one",
            spelled(left),
            spelled(right)
        )),
        _ if a == b && (a.is_number() || matches!(a, Type::Text | Type::Span)) => Ok(a.clone()),
        _ => Err(format!("{} and {} cannot be reckoned with each other", a.words(), b.words())),
    }
}

fn function(name: &str, is_member: bool, given: &[(&IdedExpr, Type)]) -> Result<Type, String> {
    let Some((_, on, gives)) = FUNCTIONS.iter().find(|(known, ..)| *known == name) else {
        let shown = name.trim_matches(|c: char| c == '_' || c == '@');
        let hint = suggest::hint(shown, FUNCTIONS.iter().map(|(known, ..)| *known));
        return Err(format!("conditions have no function {shown:?}{hint}"));
    };
    match (on, is_member) {
        (Some(wanted), true) => {
            if let Some((target, found)) = given.first().filter(|(_, found)| !found.is_like(wanted)) {
                return Err(format!("{name} is for {}, and {} is {}", wanted.words(), spelled(target), found.words()));
            }
        }
        (Some(_), false) => return Err(format!("{name} is written behind what it is about: x.{name}(…)")),
        (None, _) => {}
    }
    let is_one_text = matches!(name, "contains" | "startsWith" | "endsWith" | "matches");
    if is_one_text {
        let [_, (argument, found)] = given else { return Err(format!("{name} takes one text")) };
        if !found.is_like(&Type::Text) {
            return Err(format!("{name} takes a text, and {} is {}", spelled(argument), found.words()));
        }
    } else if name == "size"
        && given.iter().any(|(_, found)| !matches!(found, Type::Text | Type::Bytes | Type::List(_) | Type::Any))
    {
        return Err("size is for texts and lists".into());
    } else if given.len() != 1 && !matches!(on, Some(Type::Time)) {
        return Err(format!("{name} takes one value"));
    }
    Ok(gives.clone())
}

/// As it was written, where that is short to say.
fn spelled(expression: &IdedExpr) -> String {
    match &expression.expr {
        Expr::Ident(name) => name.clone(),
        Expr::Select(select) => format!("{}.{}", spelled(&select.operand), select.field),
        Expr::Literal(LiteralValue::String(text)) => format!("'{}'", text.inner()),
        Expr::Literal(LiteralValue::Int(number)) => number.inner().to_string(),
        Expr::Literal(LiteralValue::Double(number)) => number.inner().to_string(),
        Expr::Literal(LiteralValue::Boolean(truth)) => truth.inner().to_string(),
        _ => "a part of it".into(),
    }
}
